"""Arguments as tensors on one device, and curves of the host as curves of tensors."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch

from mdbound.bounds.device.prefixes import COLUMNS, as_curve
from mdbound.bounds.device.sums import Tensor
from mdbound.bounds.problem.any_array import holds_tensor, is_tensor
from mdbound.bounds.problem.solution import AcceptanceCurve
from mdbound.errors import InvalidDistributionError


def common_device(*arguments: Any) -> torch.device:
    """The device of the tensors among the arguments; everything else is brought to it.

    Raises:
        InvalidDistributionError: the tensors are on different devices.

    Example:
        >>> common_device([0.5, 0.5], torch.ones(2))
        device(type='cpu')
    """
    flat = [
        one
        for argument in arguments
        for one in (argument if isinstance(argument, list | tuple) else [argument])
    ]
    devices = list(dict.fromkeys(one.device for one in flat if is_tensor(one)))
    if len(devices) > 1:
        raise InvalidDistributionError(
            f"target and drafts are on {' and '.join(map(str, devices))}: "
            "move them to one device with .to(device)"
        )
    return cast(torch.device, devices[0])


def on_device(values: Any, device: torch.device) -> Tensor:
    """The values as a tensor on the device, in their own type if they are tensors.

    Example:
        >>> on_device([0.5, 0.25], torch.device("cpu")).dtype
        torch.float64
    """
    if is_tensor(values):
        return cast(Tensor, values).detach()
    if holds_tensor(values):
        return torch.stack([on_device(one, device) for one in values])
    return torch.tensor(np.asarray(values, dtype=np.float64), device=device)


def float64_on(values: Any, device: torch.device) -> Tensor:
    """The values as a float64 tensor on the device.

    Raises:
        InvalidDistributionError: the device has no float64.

    Example:
        >>> float64_on(torch.ones(2, dtype=torch.bfloat16), torch.device("cpu")).dtype
        torch.float64
    """
    tensor = on_device(values, device)
    try:
        return tensor.to(torch.float64)
    except TypeError as error:  # Apple's devices
        raise InvalidDistributionError(
            f"device {tensor.device} has no float64, which the bounds need; pass tensor.cpu()"
        ) from error


def as_rows(values: Tensor) -> Tensor:
    """One row as a batch of one, anything else as it is.

    Example:
        >>> as_rows(torch.ones(2)).shape
        torch.Size([1, 2])
    """
    return values[None] if values.ndim == 1 else values


def to_device(curve: AcceptanceCurve, device: torch.device) -> AcceptanceCurve:
    """A curve of arrays as one of tensors on the device.

    Example:
        >>> to_device(AcceptanceCurve.empty(1, 2), torch.device("cpu")).subset_size.tolist()
        [[-1, -1]]
    """
    return as_curve([torch.from_numpy(getattr(curve, name)).to(device) for name in COLUMNS])
