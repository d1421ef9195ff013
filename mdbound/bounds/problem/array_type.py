"""Which backend an argument asks for, told by its type and without importing torch."""

from __future__ import annotations

from typing import Any

import numpy as np


def holds_tensor(*arguments: Any) -> bool:
    """Whether an argument is a torch tensor, or a list or tuple with one in it.

    Example:
        >>> holds_tensor([0.5, 0.5], [[0.5, 0.5], [1.0, 0.0]])
        False
    """
    return any(
        is_tensor(argument)
        or (isinstance(argument, list | tuple) and any(map(is_tensor, argument)))
        for argument in arguments
    )


def is_tensor(argument: Any) -> bool:
    """Whether an argument is a torch tensor, or of a class derived from it.

    Example:
        >>> is_tensor(0.5)
        False
    """
    return any(
        base.__module__.partition(".")[0] == "torch" and base.__name__ == "Tensor"
        for base in type(argument).__mro__
    )


def num_dimensions(values: Any) -> int:
    """As `numpy.ndim`, also for tensors that numpy cannot read, alone or in a list.

    Example:
        >>> num_dimensions([[0.5, 0.5]])
        2
    """
    if holds_tensor(values) and not is_tensor(values):
        return 1 + max(num_dimensions(one) for one in values)
    return int(np.ndim(values))
