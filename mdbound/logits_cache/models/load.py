"""Loading models, and drafts made from the target by leaving decoder layers out."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mdbound.errors import InvalidSettingError, ModelError
from mdbound.logits_cache.capturing.score import LanguageModel
from mdbound.logits_cache.models.model_files import ModelFiles
from mdbound.logits_cache.models.quiet import quiet_transformers
from mdbound.logits_cache.models.tokenizer import LoadedTokenizer
from mdbound.logits_cache.store.manifest import ModelRecord

DTYPES = ("auto", "float32", "bfloat16", "float16")
_FORWARD_OPTIONS = ("position_ids", "logits_to_keep")


@dataclass(frozen=True)
class ModelShape:
    """What a model's configuration says, read without its weights.

    Attributes:
        logits_width: columns of its logits.
        layers: decoder layers.
        max_context: longest context it was made for, in tokens; None if it does not say.
        dtype: type of its weights on disk, or None.
    """

    logits_width: int
    layers: int
    max_context: int | None
    dtype: str | None


def read_shape(files: ModelFiles) -> ModelShape:
    """Read a model's configuration.

    Raises:
        ModelError: it cannot be read, or is not a language model's.
    """
    with quiet_transformers() as transformers:
        try:
            config = transformers.AutoConfig.from_pretrained(files.location, **files.options)
            text = config.get_text_config()
            return ModelShape(
                logits_width=int(text.vocab_size),
                layers=int(text.num_hidden_layers),
                max_context=getattr(text, "max_position_embeddings", None),
                dtype=_dtype_name(getattr(text, "dtype", None)),
            )
        except Exception as error:  # transformers raises whatever its readers raise
            raise _cannot_load(files, error) from error


def resolve_device(device: str) -> str:
    """Turn `auto` into the best device here; check any other.

    Raises:
        InvalidSettingError: the device is unknown or not there.
    """
    with quiet_transformers():
        import torch

        if device == "auto":
            if torch.cuda.is_available():
                return "cuda"
            return "mps" if torch.backends.mps.is_available() else "cpu"
        try:
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            reason = str(error).splitlines()[0]
            raise InvalidSettingError(
                f"device {device!r} cannot be used ({reason}); give cpu, or a GPU that is there"
            ) from error
    return device


def resolve_dtype(dtype: str, device: str, shape: ModelShape) -> str:
    """Turn `auto` into the weights' own type, or float32 on a CPU, where halves are slow.

    Raises:
        InvalidSettingError: the type is not one of DTYPES.
    """
    if dtype not in DTYPES:
        raise InvalidSettingError(f"unknown dtype {dtype!r}; give one of {', '.join(DTYPES)}")
    if dtype != "auto":
        return dtype
    return "float32" if device == "cpu" else shape.dtype or "float32"


def check_skipped_layers(skipped: Sequence[int], layers: int) -> None:
    """Refuse layers that the target does not have, or leaving out all of them.

    Raises:
        InvalidSettingError: naming the layer.
    """
    for layer in skipped:
        if not 0 <= layer < layers:
            raise InvalidSettingError(
                f"--draft-skip-layers names layer {layer}; the target has layers 0 to {layers - 1}"
            )
    if len(set(skipped)) != len(skipped) or not 0 < len(skipped) < layers:
        raise InvalidSettingError(
            f"--draft-skip-layers {','.join(map(str, skipped))}: name each layer once, "
            f"at least 1 and at most {layers - 1} of them"
        )


def load_model(
    files: ModelFiles,
    record: ModelRecord,
    tokenizer: LoadedTokenizer,
    *,
    vocab_size: int,
    device: str,
) -> LanguageModel:
    """Load a model's weights.

    Raises:
        ModelError: they cannot be read.
    """
    with quiet_transformers() as transformers:
        import torch

        try:
            network = transformers.AutoModelForCausalLM.from_pretrained(
                files.location, dtype=getattr(torch, record.dtype), **files.options
            )
            network = network.to(device).eval()
        except Exception as error:  # transformers raises whatever its readers raise
            raise _cannot_load(files, error) from error
    encode = tokenizer.encode
    ends = _end_tokens(network, encode)
    pad = encode.pad_token_id if encode.pad_token_id is not None else min(ends, default=0)
    return LanguageModel(
        record=record,
        network=network,
        device=device,
        vocab_size=vocab_size,
        pad_id=int(pad),
        end_tokens=ends,
        accepted=_accepted_options(network),
    )


def without_layers(target: LanguageModel, record: ModelRecord) -> LanguageModel:
    """A draft that is the target without `record.skipped_layers`, sharing its weights.

    Every module is copied, so that layer numbers and the configuration can change, and every
    tensor is shared, so that the draft takes no memory of its own.
    """
    network = target.network
    shared = {id(tensor): tensor for tensor in [*network.parameters(), *network.buffers()]}
    draft = copy.deepcopy(network, memo=shared)
    config = draft.config.get_text_config()
    layers = _decoder_layers(draft, config.num_hidden_layers)
    kept = [index for index in range(len(layers)) if index not in record.skipped_layers]
    for number, index in enumerate(kept):
        # Key-value caches are addressed by layer number, which must count without gaps.
        for module in layers[index].modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = number
    types = getattr(config, "layer_types", None)
    config.num_hidden_layers = len(kept)
    if types is not None:
        config.layer_types = [types[index] for index in kept]
    # In place: models with other per-layer lists keep referring to this one.
    for index in sorted(record.skipped_layers, reverse=True):
        del layers[index]
    return replace(target, record=record, network=draft)


def _decoder_layers(network: Any, count: int) -> Any:
    from torch.nn import ModuleList

    for module in network.modules():
        if isinstance(module, ModuleList) and len(module) == count:
            return module
    raise ModelError(
        f"{type(network).__name__} keeps its decoder layers in no list of {count}; "
        "--draft-skip-layers cannot be used with it, give a --draft"
    )


def _end_tokens(network: Any, encode: Any) -> frozenset[int]:
    configured = getattr(network.generation_config, "eos_token_id", None)
    ends = configured if isinstance(configured, list) else [configured]
    return frozenset(int(end) for end in [*ends, encode.eos_token_id] if end is not None)


def _accepted_options(network: Any) -> frozenset[str]:
    parameters = inspect.signature(network.forward).parameters
    return frozenset(name for name in _FORWARD_OPTIONS if name in parameters)


def _dtype_name(dtype: object) -> str | None:
    return None if dtype is None else str(dtype).removeprefix("torch.")


def _cannot_load(files: ModelFiles, error: Exception) -> ModelError:
    reason = " ".join(str(error).split())[:200]
    return ModelError(
        f"model {files.source!r} cannot be loaded ({type(error).__name__}: {reason}); "
        "it must be a causal language model that transformers knows"
    )
