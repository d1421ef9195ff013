"""Two halves of the documents: what is chosen on one is reported on the other."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

#: Seed of the halves. They are of documents, whose contexts are alike.
HALVES_SEED = 0


def halves(documents: Iterable[int]) -> tuple[list[int], list[int]]:
    """Two halves of the documents, the same for all settings.

    Args:
        documents: Their numbers, in any order, repeated or not.

    Returns:
        The half to choose on, which is the smaller one, and the half to report on.

    Example:
        >>> one, other = halves([1, 2, 3, 4, 4])
        >>> sorted(one + other)
        [1, 2, 3, 4]
    """
    ordered = sorted(set(documents))
    order = np.random.default_rng(HALVES_SEED).permutation(len(ordered))
    first = [ordered[place] for place in order[: len(ordered) // 2]]
    return first, [one for one in ordered if one not in set(first)]
