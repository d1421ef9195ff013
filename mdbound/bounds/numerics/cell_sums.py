"""Sums of several values per cell, added to by one load and one store.

Scattering tokens into buckets is bound by loads and stores: p, q and a count added one after the
other cost more than the exponentials they come from. A cell is four float64 side by side, and one
vector addition updates it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import float64, types, uintp
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from mdbound.bounds.problem.array_types import FloatArray

LANES = 4
"""Numbers per cell: p, q, how many tokens, and one that stays 0."""


def _add_to_cell(typing_context: Any, cells: Any, cell: Any, p: Any, q: Any) -> Any:
    """cells[4 * cell : 4 * cell + 3] += (p, q, 1); callers see to it that the cell exists."""
    del typing_context, cell, p, q

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = cast(Any, make_array)(signature.args[0])(context, builder, args[0])
        vector = ir.VectorType(ir.DoubleType(), LANES)
        lane = ir.IntType(32)
        first = builder.mul(args[1], ir.Constant(args[1].type, LANES))
        place = builder.bitcast(builder.gep(array.data, [first]), vector.as_pointer())
        added = ir.Constant(vector, [0.0, 0.0, 1.0, 0.0])
        added = builder.insert_element(added, args[2], lane(0))
        added = builder.insert_element(added, args[3], lane(1))
        # Aligned as float64 only: that is all numpy promises.
        builder.store(builder.fadd(builder.load(place, align=8), added), place, align=8)
        return context.get_dummy_value()

    return types.void(cells, uintp, float64, float64), generate


# numba types an intrinsic as what the compiler sees; callers see a function that changes cells.
add_to_cell: Callable[[FloatArray, np.uintp, float, float], None] = cast(
    Any, intrinsic(_add_to_cell)
)
