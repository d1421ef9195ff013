"""Rotary positions of a `.gguf` file: base, scaling, and the factors that stand in tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from mdbound.errors import ModelError
from mdbound.logits_cache.models.gguf.header import GgufHeader
from mdbound.logits_cache.models.gguf.one_reading import gguf_reader

GGUF_ROPE_FREQS = "rope_freqs.weight"
GGUF_ROPE_FACTORS = ("rope_factors_short.weight", "rope_factors_long.weight")

#: What llama.cpp takes where the header has no `rope.freq_base`.
_DEFAULT_THETA = 10_000.0

_LENGTH = "rope.scaling.original_context_length"

#: Keys about scaling that every type of it may carry; `finetuned` is a remark.
_ALWAYS = frozenset({"rope.scaling.type", "rope.scaling.finetuned", _LENGTH})


def rope_of_model(header: GgufHeader, head_dim: int) -> dict[str, Any]:
    """Settings of a model that turns whole heads.

    Args:
        header: the header.
        head_dim: dimensions of a head.

    Raises:
        ModelError: it turns a part of them, or scales in a way that is not applied.
    """
    _check_whole_heads(header, head_dim)
    return {"rope_parameters": _parameters(header)}


def rope_of_partial_heads(header: GgufHeader, head_dim: int) -> dict[str, Any]:
    """Settings of a model that turns the first `rope.dimension_count` dimensions of a head."""
    turned = header.values.get("rope.dimension_count", head_dim)
    part = {"partial_rotary_factor": turned / head_dim}
    settings: dict[str, Any] = {"rope_parameters": {**_parameters(header), **part}}
    if _LENGTH in header.values:
        settings["original_max_position_embeddings"] = header.values[_LENGTH]
    return settings


def rope_of_layer_types(header: GgufHeader, head_dim: int) -> dict[str, Any]:
    """Settings of Gemma 3: windowed layers have a base of their own and are not scaled."""
    _check_whole_heads(header, head_dim)
    windowed = header.values.get("rope.freq_base_swa", _DEFAULT_THETA)
    return {
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": windowed},
            "full_attention": _parameters(header, more=frozenset({"rope.freq_base_swa"})),
        }
    }


def apply_rope_freqs(network: Any, header: GgufHeader) -> None:
    """Divide the rotary frequencies of a loaded network by the factors in `rope_freqs.weight`.

    Llama 3.1 scales its frequencies each by a factor of its own, and llama.cpp's converter computes
    them once and stores them.

    Raises:
        ModelError: the factors do not fit the network.
    """
    import torch

    factors = torch.from_numpy(_tensor(header, GGUF_ROPE_FREQS))
    frequencies = [
        buffer
        for name, buffer in network.named_buffers()
        if name.rpartition(".")[2] in {"inv_freq", "original_inv_freq"}
    ]
    fit = all(buffer.shape == factors.shape for buffer in frequencies)
    if not frequencies or not fit or not bool((factors > 0).all() & factors.isfinite().all()):
        raise ModelError(
            f"{header.path} has a tensor {GGUF_ROPE_FREQS} that does not fit its rotary positions; "
            "give the model's folder with safetensors instead"
        )
    for buffer in frequencies:
        buffer.div_(factors.to(buffer))


def _check_whole_heads(header: GgufHeader, head_dim: int) -> None:
    turned = header.values.get("rope.dimension_count", head_dim)
    if turned != head_dim:
        raise header.refuse("rope.dimension_count", turned)


def _parameters(header: GgufHeader, more: frozenset[str] = frozenset()) -> dict[str, Any]:
    """`rope_parameters` for base and scaling.

    Raises:
        ModelError: a key about rotary positions is not applied.
    """
    values = header.values
    factors = all(name in header.tensors for name in GGUF_ROPE_FACTORS)
    kind = "longrope" if factors else values.get("rope.scaling.type", "none")
    if kind not in _SCALING:
        raise header.refuse("rope.scaling.type", kind)
    keys, parameters = _SCALING[kind]
    known = keys | more | _ALWAYS | {"rope.freq_base", "rope.dimension_count"}
    for name, value in values.items():
        if name.startswith("rope.") and name not in known:
            raise header.refuse(name, value)
    theta = float(values.get("rope.freq_base", _DEFAULT_THETA))
    return {"rope_type": "default", "rope_theta": theta, **parameters(header)}


def _unscaled(_header: GgufHeader) -> dict[str, Any]:
    return {}


def _linear(header: GgufHeader) -> dict[str, Any]:
    return {"rope_type": "linear", "factor": float(header.values["rope.scaling.factor"])}


def _yarn(header: GgufHeader) -> dict[str, Any]:
    values = header.values
    factor = float(values["rope.scaling.factor"])
    stretched = 0.1 * math.log(factor) + 1.0 if factor > 1 else 1.0
    return {
        "rope_type": "yarn",
        "factor": factor,
        "original_max_position_embeddings": values[_LENGTH],
        "attention_factor": stretched * values.get("rope.scaling.attn_factor", 1.0),
        "beta_fast": float(values.get("rope.scaling.yarn_beta_fast", 32.0)),
        "beta_slow": float(values.get("rope.scaling.yarn_beta_slow", 1.0)),
    }


def _longrope(header: GgufHeader) -> dict[str, Any]:
    short, long = (_tensor(header, name).tolist() for name in GGUF_ROPE_FACTORS)
    return {
        "rope_type": "longrope",
        "short_factor": short,
        "long_factor": long,
        "attention_factor": float(header.values.get("rope.scaling.attn_factor", 1.0)),
        "original_max_position_embeddings": header.values[_LENGTH],
    }


def _tensor(header: GgufHeader, name: str) -> Any:
    from gguf import dequantize

    found = next(item for item in gguf_reader(header.path).tensors if item.name == name)
    return dequantize(found.data, found.tensor_type).astype("float32").reshape(-1)


_FACTOR = "rope.scaling.factor"
_ATTENTION = "rope.scaling.attn_factor"
_BETAS = ("rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow")

#: Type of scaling to the keys that it takes and the parameters that they make. A factor of an
#: unscaled model says nothing.
_SCALING: Mapping[str, tuple[frozenset[str], Callable[[GgufHeader], dict[str, Any]]]] = (
    MappingProxyType(
        {
            "none": (frozenset({_FACTOR}), _unscaled),
            "linear": (frozenset({_FACTOR}), _linear),
            "yarn": (frozenset({_FACTOR, _ATTENTION, *_BETAS}), _yarn),
            "longrope": (frozenset({_FACTOR, _ATTENTION}), _longrope),
        }
    )
)
