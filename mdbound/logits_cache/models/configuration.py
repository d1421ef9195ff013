"""What a model's configuration says, read without its weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mdbound.errors import MdboundError, ModelError
from mdbound.logits_cache.models.gguf.configure import configuration_of
from mdbound.logits_cache.models.gguf.header import read_header
from mdbound.logits_cache.models.model_files import ModelFiles, cannot_load
from mdbound.logits_cache.models.quiet_transformers import quiet_loading


@dataclass(frozen=True)
class ModelShape:
    """What a model's configuration says, read without its weights.

    Attributes:
        logits_width: columns of its logits.
        layers: decoder layers.
        max_context: longest context it was made for, in tokens; None if it does not say.
        dtype: type of its weights on disk, or None.
        config: the configuration itself, as transformers has it.
    """

    logits_width: int
    layers: int
    max_context: int | None
    dtype: str | None
    config: Any


def read_shape(files: ModelFiles) -> ModelShape:
    """Read a model's configuration; of a `.gguf` file all that its header says.

    Raises:
        ModelError: it cannot be read, is not a language model's, or says what is not applied.
    """
    with quiet_loading(files) as transformers:
        try:
            if files.gguf is not None:
                config = configuration_of(read_header(files.gguf))
            else:
                config = transformers.AutoConfig.from_pretrained(files.location, **files.options)
            _refuse_code_of_the_hub(files, config)
            text = config.get_text_config()
            return ModelShape(
                # Heads that are pruned to some of the tokens, as in EAGLE-3, say so here.
                logits_width=int(getattr(text, "draft_vocab_size", None) or text.vocab_size),
                layers=int(text.num_hidden_layers),
                max_context=_max_context(text),
                dtype=_dtype_name(getattr(text, "dtype", None)),
                config=config,
            )
        except MdboundError:
            raise
        except Exception as error:  # transformers raises whatever its readers raise
            raise cannot_load(files, error) from error


def _refuse_code_of_the_hub(files: ModelFiles, config: Any) -> None:
    """Refuse a configuration that has kernels of `owner/name` downloaded and run."""
    named = [value for value in _implementations(config) if "/" in value]
    if named and not files.trust_remote_code:
        raise ModelError(
            f"model {files.source!r} asks for code of the hub ({named[0]}) to run its layers; "
            "remove it from config.json, or give `trust_remote_code` if you trust it"
        )


def _implementations(config: Any) -> Iterator[str]:
    """What a configuration and those inside it say of how layers are to be computed."""
    for name, value in vars(config).items():
        if "implementation" in name:
            given = value.values() if isinstance(value, dict) else [value]
            yield from (one for one in given if isinstance(one, str))
        elif hasattr(value, "to_dict"):
            yield from _implementations(value)


def _max_context(text: Any) -> int | None:
    try:
        limit = text.max_position_embeddings
    except (AttributeError, NotImplementedError):  # XLNet says so by raising
        return None
    # Some families write -1 where there is no limit.
    return limit if isinstance(limit, int) and limit > 0 else None


def _dtype_name(dtype: object) -> str | None:
    return None if dtype is None else str(dtype).removeprefix("torch.")
