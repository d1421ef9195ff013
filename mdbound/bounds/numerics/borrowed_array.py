"""Arrays that kernels hand around without counting references.

Numba counts references to an array whenever a compiled function takes or unpacks it, with atomic
instructions that cost more than a short function does. A borrowed array has no owner to count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

_make: Callable[..., Any] = cast(Any, make_array)
_populate: Callable[..., Any] = cast(Any, populate_array)


def _borrowed(typing_context: Any, array: Any) -> Any:
    """The same array without its owner."""
    del typing_context
    if not isinstance(array, types.Array):
        return None

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del signature
        owned = _make(array)(context, builder, value=args[0])
        result = _make(array)(context, builder)
        _populate(
            result,
            data=owned.data,
            shape=owned.shape,
            strides=owned.strides,
            itemsize=owned.itemsize,
            meminfo=None,
        )
        return result._getvalue()

    return array(array), generate


# numba types an intrinsic as what the compiler sees; callers see a function of one array.
borrowed: Callable[[Any], Any] = cast(Any, intrinsic)(_borrowed)
"""The array without its owner. Only for arguments of the calling function, which the function
above it keeps alive, and never for what is returned to Python."""
