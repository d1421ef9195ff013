"""Positions of the tokens that a vectorised comparison has flagged, without a branch per token."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mdbound.bounds.numerics.compiled.kernels import kernel


@kernel
def put_flagged(
    flags: npt.NDArray[np.uint8],
    start: int,
    positions: npt.NDArray[np.int32],
    count: int,
    some: npt.NDArray[np.int32],
) -> int:
    """Append the positions of set flags, counted from `start`; the new number of positions.

    Eight flags at a time are looked at only where one of them is set; there, each position is
    written and kept if its flag is set.

    Args:
        flags: 0 or 1, a multiple of 8 of them.
        start: position of the first flag.
        positions: written from `count` on; room for one more than there will be.
        count: positions so far.
        some: scratch, one more than an eighth of the flags.

    Example:
        >>> flags, positions = np.zeros(512, dtype=np.uint8), np.empty(3, dtype=np.int32)
        >>> flags[[5, 300]] = 1
        >>> some = np.empty(65, dtype=np.int32)
        >>> put_flagged(flags, 1000, positions, 0, some), positions[:2].tolist()
        (2, [1005, 1300])
    """
    eights = flags.view(np.uint64)
    found = 0
    for k in range(len(eights)):
        some[found] = 8 * k
        found += 1 if eights[k] != 0 else 0
    place = np.uintp(count)
    for k in range(found):
        first = np.uintp(some[k])
        for j in range(8):
            flag = first + np.uintp(j)
            positions[place] = start + flag
            place += np.uintp(flags[flag])
    return int(np.int64(place))  # an unsigned count would turn its sums into floats
