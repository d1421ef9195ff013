"""Oracle of the optimum without replacement: every set and every drafted set, in many digits."""

from __future__ import annotations

from collections.abc import Sequence

import mpmath


def sums_over_subsets(values, vocab_size):
    """For every set H, the sum of the values of all sets inside H."""
    sums = list(values)
    for i in range(vocab_size):
        for members in range(1 << vocab_size):
            if members >> i & 1:
                sums[members] += sums[members ^ (1 << i)]
    return sums


def digits_optima(
    p: Sequence[mpmath.mpf], q: Sequence[mpmath.mpf], max_drafts: int
) -> list[mpmath.mpf]:
    """alpha* for n = 1..N; the drafted sets are followed draw by draw."""
    vocab_size = len(p)
    support = [i for i in range(vocab_size) if q[i] > 0]
    target = [mpmath.mpf(0)] * (1 << vocab_size)
    for i in range(vocab_size):
        target[1 << i] = p[i]
    target = sums_over_subsets(target, vocab_size)
    drawn = {0: mpmath.mpf(1)}
    optima = []
    for n in range(1, max_drafts + 1):
        if n <= len(support):
            following = {}
            for members, probability in drawn.items():
                left = [i for i in support if not members >> i & 1]
                mass = mpmath.fsum(q[i] for i in left)
                for i in left:
                    grown = members | 1 << i
                    following[grown] = following.get(grown, 0) + probability * q[i] / mass
            drawn = following
        contained = [drawn.get(members, mpmath.mpf(0)) for members in range(1 << vocab_size)]
        contained = sums_over_subsets(contained, vocab_size)
        optima.append(1 + min(x - f for x, f in zip(target, contained, strict=True)))
    return optima
