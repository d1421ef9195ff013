"""Oracle of the softmax: of the float32 logits as they are, in mpmath's real numbers."""

from __future__ import annotations

from collections.abc import Sequence

import mpmath


def exact_softmax(
    logits: Sequence[float], temperature: float, copies: Sequence[int] | None = None
) -> list[mpmath.mpf]:
    """Probabilities at the working precision; with `copies`, the mass of all copies of a token."""
    powers = [mpmath.exp(mpmath.mpf(float(x)) / mpmath.mpf(temperature)) for x in logits]
    if copies is not None:
        powers = [x * int(c) for x, c in zip(powers, copies, strict=True)]
    total = mpmath.fsum(powers)
    return [x / total for x in powers]
