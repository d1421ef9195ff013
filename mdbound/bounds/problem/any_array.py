"""Arrays of any library: told apart by their type, and read by their own methods.

Torch is not imported here: a program that has no tensors does not need it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


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


def host_array(values: Any) -> Any:
    """Values that numpy can read: tensors, on any device, as arrays in the host's memory.

    A tensor is known by its methods. Gradients stay behind, and types that numpy lacks
    (bfloat16, halves with them) become float32, which holds them exactly.

    Args:
        values: a tensor, or a list or tuple with tensors in it; anything else comes back as it is.

    Example:
        >>> host_array([0.5, 0.5])
        [0.5, 0.5]
    """
    if isinstance(values, list | tuple):
        return [host_array(one) for one in values] if any(map(_leaves_device, values)) else values
    if not _leaves_device(values):
        return values
    tensor = values.detach().cpu()
    short = tensor.is_floating_point() and tensor.element_size() < 4
    return (tensor.float() if short else tensor).numpy()


def plain_floats(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Floats as compiled code takes them: in order, of the machine's own bytes, not to be written.

    It would be compiled once more for each other kind of array. Nothing is copied but what is out
    of order; what can be written to is looked at through a view that cannot.

    Args:
        values: of any shape; what are no floats become float64.

    Example:
        >>> import numpy as np
        >>> rows = np.zeros((2, 3), dtype=np.float32)
        >>> plain_floats(rows).base is rows, plain_floats(rows[:, ::2]).flags.c_contiguous
        (True, True)
        >>> plain_floats(rows).flags.writeable
        False
    """
    dtype = values.dtype if np.issubdtype(values.dtype, np.floating) else np.dtype(np.float64)
    view = np.require(values, dtype.newbyteorder("="), ["C", "A"]).view()
    view.flags.writeable = False
    return view


def _leaves_device(values: Any) -> bool:
    return hasattr(values, "detach") and hasattr(values, "cpu")


def num_dimensions(values: Any) -> int:
    """As `numpy.ndim`, also for tensors that numpy cannot read, alone or in a list.

    Example:
        >>> num_dimensions([[0.5, 0.5]])
        2
    """
    if holds_tensor(values) and not is_tensor(values):
        return 1 + max(num_dimensions(one) for one in values)
    return int(np.ndim(values))
