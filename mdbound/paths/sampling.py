"""Running a verifier over a drafted path, for demonstrations and for those who port one.

Tables should come from the laws, which have no noise. Each rule is written as a server would run
it, for many runs at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.bounds.problem.checks import check_pair
from mdbound.errors import InvalidDistributionError, InvalidSettingError, refuse_unknown
from mdbound.paths.rules import stateless_rule
from mdbound.schemes.contract.inputs import check_size, check_tokens
from mdbound.schemes.sampling.draws import draw_tokens

Runs: TypeAlias = tuple[IntArray, IntArray]
"""Accepted length and next token of each run."""
Verifier: TypeAlias = Callable[
    [FloatArray, FloatArray, Sequence[int], np.random.Generator, int], Runs
]
"""From L + 1 rows of the target, L of the draft, the path, randomness and the number of runs."""


@dataclass(frozen=True)
class PathSamples:
    """Independent runs of a verifier over one path.

    Attributes:
        accepted: (size,) tau, the number of drafted tokens that stand.
        output: (size,) the token that follows them.
    """

    accepted: IntArray
    output: IntArray


def sample_path(
    target: npt.ArrayLike,
    draft: npt.ArrayLike,
    drafted: Sequence[int],
    rng: np.random.Generator,
    scheme: str,
    size: int = 1,
) -> PathSamples:
    """Verify one drafted path `size` times.

    Args:
        target: rows of p along the path, shape (L + 1, V): row l follows l drafted tokens.
        draft: rows of q, shape (L, V).
        drafted: x_1..x_L, tokens drawn from the rows of q.
        rng: source of randomness; the same state gives the same runs.
        scheme: one of `paths.names()` but `"joint"`.
        size: number of runs.

    Raises:
        InvalidDistributionError: rows that are no distributions, or of other shapes.
        InvalidSettingError: an unknown scheme, `"joint"`, a path that the draft cannot give, or a
            size below 1.

    Source: as `paths.kernel`, whose laws the runs follow.

    Example:
        >>> p, q = [[0.0, 1.0], [0.5, 0.5]], [[1.0, 0.0]]
        >>> runs = sample_path(p, q, [0], np.random.default_rng(0), "block", size=3)
        >>> runs.accepted.tolist(), runs.output.tolist()
        ([0, 0, 0], [1, 1, 1])
    """
    stateless_rule(scheme)
    refuse_unknown([scheme], VERIFIERS, "`scheme`")
    check_size(size)
    p, q = _rows(target, draft, len(drafted))
    path = check_tokens(drafted, q.shape[1])
    for place, token in enumerate(path):
        if q[place, token] == 0.0:
            raise InvalidSettingError(
                f"`drafted` position {place} is token {token}, which the draft never gives there: "
                "give tokens of positive draft probability"
            )
    return PathSamples(*VERIFIERS[scheme](p, q, path, rng, size))


def _rows(
    target: npt.ArrayLike, draft: npt.ArrayLike, length: int
) -> tuple[FloatArray, FloatArray]:
    shapes = np.shape(target), np.shape(draft)
    if len(shapes[0]) != 2 or shapes != ((length + 1, shapes[0][1]), (length, shapes[0][1])):
        raise InvalidDistributionError(
            f"`target` has shape {shapes[0]} and `draft` {shapes[1]} for {length} drafted tokens: "
            "give L + 1 rows of the target and L of the draft, over one vocabulary"
        )
    if length < 1:
        raise InvalidSettingError("`drafted` is empty: give one or more drafted tokens")
    above, q = check_pair(np.asarray(target)[:-1], draft)
    bonus, _ = check_pair(np.asarray(target)[-1:], np.asarray(target)[-1:])
    return np.concatenate([above, bonus]), q


def _match(
    p: FloatArray, q: FloatArray, path: Sequence[int], rng: np.random.Generator, size: int
) -> Runs:
    """Sample the target; go on while the sample is what was drafted."""
    del q
    accepted, output = np.full(size, len(path)), np.empty(size, dtype=np.int64)
    going = np.arange(size)
    for length, token in enumerate(path):
        drawn = draw_tokens(p[length], rng, len(going))
        stops = drawn != token
        accepted[going[stops]], output[going[stops]] = length, drawn[stops]
        going = going[~stops]
    output[going] = draw_tokens(p[-1], rng, len(going))
    return accepted, output


def _single_draft(
    p: FloatArray, q: FloatArray, path: Sequence[int], rng: np.random.Generator, size: int
) -> Runs:
    """Test the tokens in order; the first failure ends the path."""
    share = [min(1.0, p[l, x] / q[l, x]) for l, x in enumerate(path)]
    failed = rng.random((size, len(path))) >= share
    accepted = np.where(failed.any(axis=1), failed.argmax(axis=1), len(path))
    return accepted, _next_tokens(p, q, np.ones(len(path)), accepted, rng)


def _block(
    p: FloatArray, q: FloatArray, path: Sequence[int], rng: np.random.Generator, size: int
) -> Runs:
    """Throw a coin for every length; the largest that shows heads stands."""
    rho = _shares(p, q, path)
    coins = np.empty(len(path))
    for length in range(1, len(path)):
        excess, deficit = _parts(p[length], q[length], rho[length])
        # The sum of positive parts, not excess + 1 - rho, which cancels where p is nearly q.
        coins[length - 1] = min(1.0, excess.sum() / deficit) if deficit > 0.0 else 1.0
    coins[-1] = rho[-1]
    heads = rng.random((size, len(path))) < coins
    lengths = np.arange(1, len(path) + 1)
    accepted = np.where(heads, lengths, 0).max(axis=1)
    return accepted, _next_tokens(p, q, rho[:-1], accepted, rng)


def _asps(
    p: FloatArray, q: FloatArray, path: Sequence[int], rng: np.random.Generator, size: int
) -> Runs:
    """Book masses of stopping along the path, and draw length and token at once."""
    rho = _shares(p, q, path)
    masses = np.zeros_like(p)
    for length, token in enumerate(path):
        excess, deficit = _parts(p[length], q[length], rho[length])
        masses[length] = excess
        left = max(0.0, 1.0 - rho[length] * p[length, token] / q[length, token])
        masses[: length + 1] *= left / deficit if deficit > 0.0 else 1.0
    masses[-1] = rho[-1] * p[-1]
    found = draw_tokens(masses.ravel(), rng, size)
    return found // p.shape[1], found % p.shape[1]


VERIFIERS: dict[str, Verifier] = {
    "match": _match,
    "single_draft": _single_draft,
    "block": _block,
    "asps": _asps,
}
"""By scheme."""


def _shares(p: FloatArray, q: FloatArray, path: Sequence[int]) -> FloatArray:
    """rho_0, ..., rho_L."""
    rho = np.ones(len(path) + 1)
    for l, x in enumerate(path):
        rho[l + 1] = min(1.0, rho[l] * p[l, x] / q[l, x])
    return rho


def _parts(p: FloatArray, q: FloatArray, rho: float) -> tuple[FloatArray, float]:
    """(rho p - q)+ for each token, and the sum of (q - rho p)+."""
    return np.maximum(rho * p - q, 0.0), float(np.maximum(q - rho * p, 0.0).sum())


def _next_tokens(
    p: FloatArray, q: FloatArray, rho: FloatArray, accepted: IntArray, rng: np.random.Generator
) -> IntArray:
    """From (rho p - q)+ where drafted tokens are left, from p where none is."""
    output = np.empty(len(accepted), dtype=np.int64)
    for length in np.unique(accepted):
        weights = p[length]
        if length < len(q):
            residual, _ = _parts(p[length], q[length], rho[length])
            # Nothing is left only where rounding alone made a certain test fail.
            weights = residual if residual.any() else weights
        here = accepted == length
        output[here] = draw_tokens(weights, rng, int(here.sum()))
    return output
