"""Where logits are worked on: the one decision between a model's device and the host.

On a GPU everything that only looks at logits (checks, sampling of answers, bounds) runs where the
model put them, and what comes back is a few numbers per position. On a CPU a tensor is an array
without a copy, and the compiled kernels are five to seventy times faster than torch operations
(`benchmarks/torch_device.py`). Other devices have no float64, which the bounds need.
"""

from __future__ import annotations


def stays_on_device(device: str) -> bool:
    """Whether logits on this device are worked on there, as torch tensors, and not as arrays.

    Example:
        >>> stays_on_device("cuda:1"), stays_on_device("cpu"), stays_on_device("mps")
        (True, False, False)
    """
    return device.partition(":")[0] == "cuda"
