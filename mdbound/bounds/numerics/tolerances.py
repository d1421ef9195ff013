"""Tolerances that a law's kernels and its operations on a device have in common."""

from __future__ import annotations

INTEGRAL_ERROR = 2e-14
"""Absolute error of a containment without replacement by the clocks' integral, see
`numerics.clock_quadrature`: the quadrature, what is left of it at both ends, and the rounding of
its sums. An allowance that tests hold against exact values; a smaller one needs compensated sums
over nodes."""

SAME_OBJECTIVE = 5e-15
"""Objectives without replacement this close count as equal, and the smaller set is reported: less,
and rounding picks the set where p = q; more, and the error bound grows."""

BOX_TOLERANCE = 1e-13
"""Boxes of independent drafts that cannot beat the best set by more than this are dropped: less,
and boxes around the optimum are cut until rounding ends it; more, and the error bound grows."""

MAX_BOXES = 100_000
"""A row of independent drafts that takes more boxes stays unsolved: more, and one contrived row
holds up a batch for minutes."""
