"""Sums over tokens on any device, whose rounding does not depend on the order a device adds in.

A device may add in whatever order suits it. Cut into short blocks, blocks of blocks and so on, a
sum is at most as many additions deep as its blocks are long, one level after the other.
"""

from __future__ import annotations

from typing import TypeAlias

import torch

Tensor: TypeAlias = torch.Tensor

BLOCK = 64
"""Tokens, and then blocks, that are summed one after the other."""

_SHORT = 32  # likewise where only the total is wanted


def prefix_sums(values: Tensor) -> Tensor:
    """Sums of the first 0, 1, ..., V values of each row, each to `prefix_error` of itself.

    Args:
        values: not negative, shape (..., V).

    Returns:
        Shape (..., V + 1).

    Example:
        >>> prefix_sums(torch.tensor([[0.5, 0.25]])).tolist()
        [[0.0, 0.5, 0.75]]
    """
    sums = in_blocks(values, BLOCK).cumsum(dim=-1)
    if sums.shape[-2] > 1:
        before = prefix_sums(sums[..., -1])[..., :-1]
        sums = sums + before[..., None]
    return torch.nn.functional.pad(sums.flatten(-2)[..., : values.shape[-1]], (1, 0))


def suffix_sums(values: Tensor) -> Tensor:
    """Sums of the values from position 0, 1, ..., V on, each to `prefix_error` of itself.

    Example:
        >>> suffix_sums(torch.tensor([[0.5, 0.25]])).tolist()
        [[0.75, 0.25, 0.0]]
    """
    return prefix_sums(values.flip(1)).flip(1)


def prefix_error(vocab_size: int) -> float:
    """Relative error of `prefix_sums` in unit roundoffs.

    Example:
        >>> prefix_error(151_936)
        169.0
    """
    additions = 0
    while vocab_size > 1:
        additions += min(BLOCK, vocab_size) + 1
        vocab_size = -(-vocab_size // BLOCK)
    return float(additions)


def total(values: Tensor) -> Tensor:
    """Sums over the last dimension, kept with size 1, each to `total_error` of itself.

    Args:
        values: not negative.

    Example:
        >>> total(torch.ones(2, 100)).tolist()
        [[100.0], [100.0]]
    """
    while values.shape[-1] > 1:
        # What does not fill a block is summed apart: padding would copy all of it.
        blocks, left = divmod(values.shape[-1], _SHORT)
        sums = [values[..., : blocks * _SHORT].reshape(*values.shape[:-1], blocks, _SHORT).sum(-1)]
        if left:
            sums.append(values[..., blocks * _SHORT :].sum(dim=-1, keepdim=True))
        values = torch.cat(sums, dim=-1)
    return values if values.shape[-1] else values.sum(dim=-1, keepdim=True)


def total_error(vocab_size: int) -> float:
    """Relative error of `total` in unit roundoffs.

    Example:
        >>> total_error(151_936)
        128.0
    """
    levels = 0
    while vocab_size > 1:
        vocab_size = -(-vocab_size // _SHORT)
        levels += 1
    return float(_SHORT * levels)


def in_blocks(values: Tensor, length: int) -> Tensor:
    """The last dimension cut into blocks, (..., V) to (..., blocks, length), with zeros at the end.

    Example:
        >>> in_blocks(torch.ones(1, 3), 2).tolist()
        [[[1.0, 1.0], [1.0, 0.0]]]
    """
    blocks = -(-values.shape[-1] // length)
    missing = blocks * length - values.shape[-1]
    if missing:
        values = torch.nn.functional.pad(values, (0, missing))
    return values.reshape(*values.shape[:-1], blocks, length)
