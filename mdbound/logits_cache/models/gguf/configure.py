"""A configuration made of the header of a `.gguf` file: all that it says, or a refusal by key.

Transformers makes one, too, but takes keys that it knows and drops the others without a word: soft
caps, windows, head sizes, rotary scaling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mdbound.errors import ModelError
from mdbound.logits_cache.models.gguf.architectures import ARCHITECTURES, Architecture
from mdbound.logits_cache.models.gguf.header import GgufHeader

#: Keys whose 0 says that there is no such thing.
_ABSENT_AT_ZERO = frozenset({"expert_count", "expert_used_count"})

#: Attributes that networks look for and whose default is not to be there.
_OPTIONAL = frozenset({"head_dim"})

#: Floats of a header have 24 bits, those of a configuration 53.
_FLOAT32 = 1e-6


def architecture_of(header: GgufHeader) -> Architecture:
    """The table of the file's architecture.

    Raises:
        ModelError: there is none.
    """
    if header.architecture not in ARCHITECTURES:
        raise ModelError(
            f"{header.path} is a {header.architecture} model; .gguf files are checked for "
            f"{', '.join(ARCHITECTURES)} only: give the model's folder with safetensors instead"
        )
    return ARCHITECTURES[header.architecture]


def configuration_of(header: GgufHeader) -> Any:
    """The configuration, as transformers has it, of the model in a file.

    Raises:
        ModelError: a key says something that is not applied, one is missing, or the architecture
            is unknown.
    """
    from transformers import AutoConfig

    known = architecture_of(header)
    defaults = AutoConfig.for_model(known.model_type)
    try:
        settings = _settings(header, known, defaults) | _rope(header, known)
        settings |= known.implied(header)
    except KeyError as error:
        raise ModelError(
            f"{header.path} does not say {header.key(error.args[0])}; convert the model again"
        ) from error
    config = AutoConfig.for_model(known.model_type, **settings, **_vocabulary(header, settings))
    _check(config, settings, header)
    return config


def _settings(header: GgufHeader, known: Architecture, defaults: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name, value in header.values.items():
        if name in known.harmless or name.startswith("rope."):
            continue
        if name in _ABSENT_AT_ZERO and value == 0:
            continue
        attribute, single = known.attributes.get(name), _single(value)
        if attribute is None or single is None:
            raise header.refuse(name, value)
        if attribute not in _OPTIONAL and not hasattr(defaults, attribute):
            raise header.refuse(name, value)
        settings[attribute] = single
    return settings


def _single(value: Any) -> Any:
    """The value, or the one that a list of them by layers repeats; None for a list that varies."""
    if not isinstance(value, list):
        return value
    return value[0] if len(set(value)) == 1 else None


def _rope(header: GgufHeader, known: Architecture) -> dict[str, Any]:
    if known.rope is not None:
        head_dim = header.values.get("attention.key_length") or header.head_dim
        return known.rope(header, head_dim)
    for name, value in header.values.items():
        if name.startswith("rope."):
            raise header.refuse(name, value)
    return {}


def _vocabulary(header: GgufHeader, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the vocabulary of the file says about the network, and which tokens end a text."""
    size = {} if "vocab_size" in settings else {"vocab_size": header.tokens}
    return {
        **size,
        "tie_word_embeddings": "output.weight" not in header.tensors,
        "bos_token_id": header.special.get("bos"),
        "eos_token_id": header.special.get("eos"),
        # It fills masked columns only, and the library's default may lie beyond the vocabulary.
        "pad_token_id": None,
    }


def _check(config: Any, settings: Mapping[str, Any], header: GgufHeader) -> None:
    """Refuse what the configuration's class dropped or changed when it was made."""
    for name, wanted in settings.items():
        if not _equal(getattr(config, name, None), wanted):
            raise ModelError(
                f"{header.path}: {name} = {wanted!r} cannot be applied to {header.architecture} "
                "models here; give the model's folder with safetensors instead"
            )


def _equal(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            _equal(found.get(name), value) for name, value in wanted.items()
        )
    if isinstance(wanted, float) and isinstance(found, int | float):
        return math.isclose(found, wanted, rel_tol=_FLOAT32)
    return bool(found == wanted)
