"""Every tensor of a `.gguf` file has its place in the network, or the file is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mdbound.errors import ModelError
from mdbound.logits_cache.models.gguf.configure import architecture_of
from mdbound.logits_cache.models.gguf.header import GgufHeader
from mdbound.logits_cache.models.gguf.rope import GGUF_ROPE_FREQS, apply_rope_freqs

#: A parameter of each layer with experts, whose weights the file has in three stacks.
_EXPERTS = ".mlp.experts.down_proj"


def apply_remaining_tensors(network: Any, header: GgufHeader) -> None:
    """Apply the tensors that are no weights, and refuse those that are dropped.

    Args:
        network: the network with the file's weights.
        header: the file's header.

    Raises:
        ModelError: a tensor has no place in the network.
    """
    applied = architecture_of(header).rope_tensors & header.tensors
    dropped = sorted(header.tensors - applied - set(_places(network, header)))
    if dropped:
        shown = ", ".join(dropped[:3]) + (f" and {len(dropped) - 3} more" if dropped[3:] else "")
        raise ModelError(
            f"{header.path} has tensors that {type(network).__name__} has no place for: {shown}; "
            "give the model's folder with safetensors instead"
        )
    if GGUF_ROPE_FREQS in applied:
        apply_rope_freqs(network, header)


def _places(network: Any, header: GgufHeader) -> Iterator[str]:
    """The names that a file gives to the network's weights."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    arch = next(key for key, name in MODEL_ARCH_NAMES.items() if name == header.architecture)
    names = get_tensor_name_map(arch, int(header.values["block_count"]))
    inner = f"{network.base_model_prefix}."
    for parameter in network.state_dict():
        stem, dot, suffix = parameter.rpartition(".")
        if suffix not in {"weight", "bias"}:
            stem, dot, suffix = parameter, "", ""
        # Models of some families were converted without the head, as their inner part.
        for place in {names.get_name(stem), names.get_name(stem.removeprefix(inner))}:
            if place is not None:
                yield place + dot + suffix
        if parameter.endswith(_EXPERTS):
            block = parameter.split(".layers.")[1].split(".")[0]
            yield from (f"blk.{block}.ffn_{part}_exps.weight" for part in ("gate", "up", "down"))
