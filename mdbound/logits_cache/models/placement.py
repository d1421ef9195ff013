"""On which device a model runs, and in which floating-point type."""

from __future__ import annotations

from mdbound.errors import InvalidSettingError, refuse_unknown
from mdbound.logits_cache.models.configuration import ModelShape
from mdbound.logits_cache.models.quiet_transformers import quiet_transformers

DTYPES = ("auto", "float32", "bfloat16", "float16")


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
                f"`device` {device!r} cannot be used ({reason}); give cpu, or a GPU that is there"
            ) from error
    return device


def resolve_dtype(dtype: str, device: str, shape: ModelShape) -> str:
    """Turn `auto` into the weights' own type, or float32 on a CPU, where halves are slow.

    Raises:
        InvalidSettingError: the type is not one of DTYPES.
    """
    refuse_unknown([dtype], DTYPES, "`dtype`")
    if dtype != "auto":
        return dtype
    return "float32" if device == "cpu" else shape.dtype or "float32"
