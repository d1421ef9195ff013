"""Drafts made from the target by leaving decoder layers out."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from mdbound.errors import InvalidSettingError, ModelError


def check_skipped_layers(skipped: Sequence[int], layers: int) -> None:
    """Refuse layers that the target does not have, or leaving out all of them.

    Raises:
        InvalidSettingError: naming the layer.
    """
    for layer in skipped:
        if not 0 <= layer < layers:
            raise InvalidSettingError(
                f"`skip_layers` names layer {layer}; the target has layers 0 to {layers - 1}"
            )
    if len(set(skipped)) != len(skipped) or not 0 < len(skipped) < layers:
        raise InvalidSettingError(
            f"`skip_layers` {','.join(map(str, skipped))}: name each layer once, "
            f"at least 1 and at most {layers - 1} of them"
        )


def without_layers(network: Any, skipped: Sequence[int]) -> Any:
    """The network without some of its layers, sharing its weights.

    Every module is copied, so that layer numbers and the configuration can change, and every
    tensor is shared, so that the draft takes no memory of its own.

    Args:
        network: the target's network.
        skipped: layers to leave out, counted from 0.

    Raises:
        ModelError: the network does not keep its layers in a list, or does not run without
            them.
    """
    shared = {id(tensor): tensor for tensor in [*network.parameters(), *network.buffers()]}
    draft = copy.deepcopy(network, memo=shared)
    config = draft.config.get_text_config()
    layers = _decoder_layers(draft, config.num_hidden_layers)
    kept = [index for index in range(len(layers)) if index not in skipped]
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
    for index in sorted(skipped, reverse=True):
        del layers[index]
    _check_runs(draft)
    return draft


def _check_runs(network: Any) -> None:
    """Refuse a network that keeps more about each layer than the list that was shortened."""
    import torch

    try:
        with torch.inference_mode():
            network(torch.zeros((1, 2), dtype=torch.long, device=network.device), use_cache=False)
    except Exception as error:  # whatever the network's own code raises
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise ModelError(
            f"{type(network).__name__} does not run without some of its layers ({reason}); "
            "`skip_layers` cannot be used with it, give one of `drafts`"
        ) from error


def _decoder_layers(network: Any, count: int) -> Any:
    from torch.nn import ModuleList

    for module in network.modules():
        if isinstance(module, ModuleList) and len(module) == count:
            return module
    raise ModelError(
        f"{type(network).__name__} keeps its decoder layers in no list of {count}; "
        "`skip_layers` cannot be used with it, give one of `drafts`"
    )
