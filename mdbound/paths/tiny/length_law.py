"""The law of the accepted length of one call, summed over every path of a tiny draft."""

from __future__ import annotations

import itertools

from mdbound.paths.checks import check_draft_length
from mdbound.paths.rules import path_rule
from mdbound.paths.tiny.kernels import kernel
from mdbound.paths.tiny.model import Model, Number, row_of, sequences, strings


def length_law(target: Model, draft: Model, draft_length: int, scheme: str) -> list[Number]:
    """P(tau = 0), ..., P(tau = L) over the draft and the rule's own choices.

    Args:
        target: rows of p for every prefix up to L tokens.
        draft: rows of q for every prefix shorter than L.
        draft_length: L; the cost grows as V^L.
        scheme: one of `paths.names()`. `"joint"` is the best coupling of a drafted path with L
            tokens of the target: P(tau >= l) is the sum of min(p(w), q(w)) over strings w of l
            tokens (theorem T6).

    Returns:
        L + 1 probabilities; of type Fraction where the rows are.

    Raises:
        InvalidDistributionError: a row that is no distribution.
        InvalidSettingError: a missing row, an unknown scheme, or a draft length below 1.

    Example:
        >>> from fractions import Fraction
        >>> row = (Fraction(1, 3), Fraction(2, 3))
        >>> p = dict.fromkeys([(), (0,), (1,)], row)
        >>> q = {(): row[::-1]}
        >>> [str(value) for value in length_law(p, q, 1, "block")]
        ['1/3', '2/3']
    """
    length = check_draft_length(draft_length)
    path_rule(scheme)
    if scheme == "joint":
        return _coupling(target, draft, length)
    law: list[Number] = [0] * (length + 1)
    for path, mass in sequences(draft, length, "draft"):
        for (accepted, _), probability in kernel(target, draft, path, scheme).items():
            law[accepted] += mass * probability
    return law


def _coupling(target: Model, draft: Model, length: int) -> list[Number]:
    vocab_size = len(row_of(target, (), "target"))
    tail: list[Number] = [1]
    for level in range(1, length + 1):
        of_target = dict(sequences(target, level, "target"))
        of_draft = dict(sequences(draft, level, "draft"))
        tail.append(
            sum(min(of_target.get(w, 0), of_draft.get(w, 0)) for w in strings(vocab_size, level))
        )
    return [*(a - b for a, b in itertools.pairwise(tail)), tail[-1]]
