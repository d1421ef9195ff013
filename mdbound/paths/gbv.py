"""Several independent paths: select one, then verify it as a block (greedy block verification).

At every node tokens are ranked by p/q, the lower id first among equals, and of K paths the
lexicographically largest is selected: the one whose first token ranks highest, and so on. Its law
q_sel is explicit. With G(w) the draft mass of strings up to and including w in that order,

    P(the selected path starts with w) = G(w)^K - (G(w) - q(w))^K,

and block verification of the selected path against this law is stateless. So three numbers a
token of target text say how much is accepted: log p, log q and the draft mass ranked below y.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.bounds.problem.checks import check_num_drafts, check_pair
from mdbound.errors import InvalidDistributionError, InvalidSettingError
from mdbound.paths.checks import check_draft_length, check_logprobs, check_probabilities, check_text
from mdbound.paths.tails import windows

ROUNDING = 1e-9
"""How far above 1 a sum of draft probabilities may lie."""


@kernel
def _below(p: FloatArray, q: FloatArray, tokens: IntArray, found: FloatArray) -> None:
    for row in range(len(p)):
        y = tokens[row]
        own = p[row, y] / q[row, y] if q[row, y] > 0.0 else math.inf
        for other in range(p.shape[1]):
            if q[row, other] > 0.0:
                ratio = p[row, other] / q[row, other]
                if ratio < own or (ratio == own and other > y):
                    found[row] += q[row, other]


def draft_mass_below(
    target: npt.ArrayLike, draft: npt.ArrayLike, token: npt.ArrayLike
) -> float | FloatArray:
    """Draft mass of the tokens that rank below y: those of smaller p/q, or equal and higher id.

    Args:
        target: p, shape (V,) or (B, V).
        draft: q, same shape.
        token: y, one token id or one a row.

    Returns:
        A float for one row, else shape (B,).

    Raises:
        InvalidDistributionError: an array holds no distributions, or the sizes differ.
        InvalidSettingError: not one token of the vocabulary a row.

    Example:
        >>> draft_mass_below([0.5, 0.25, 0.25], [0.25, 0.25, 0.5], 1)
        0.5
    """
    single = np.ndim(target) == 1 and np.ndim(draft) == 1
    p, q = check_pair(target, draft)
    tokens = np.asarray(token)
    if tokens.dtype.kind not in "iu" or tokens.shape != (() if single else (len(p),)):
        raise InvalidSettingError(
            f"`token` has shape {tokens.shape} and type {tokens.dtype}: give one token id a row"
        )
    tokens = np.atleast_1d(tokens).astype(np.int64)
    if ((tokens < 0) | (tokens >= p.shape[1])).any():
        raise InvalidSettingError(
            f"`token` holds {tokens.min()} to {tokens.max()}: give ids from 0 to {p.shape[1] - 1}"
        )
    found = np.zeros(len(p))
    _below(p, q, tokens, found)
    return float(found[0]) if single else found


def gbv_tail(
    target_logprob: npt.ArrayLike,
    draft_logprob: npt.ArrayLike,
    mass_below: npt.ArrayLike,
    num_paths: int,
) -> FloatArray:
    """P(tau >= l), l = 1..L, given L tokens of the target, with K independent drafted paths.

    Args:
        target_logprob: log p of each token of the window, shape (..., L).
        draft_logprob: log q of the same tokens; -inf where the draft cannot give one.
        mass_below: `draft_mass_below` of the same tokens.
        num_paths: K; with 1 it is `accepted_tail(..., "block")`.

    Returns:
        The same shape, not increasing along the last axis.

    Raises:
        InvalidDistributionError: as `accepted_tail`, or masses outside [0, 1]; names the position.
        InvalidSettingError: K below 1.

    Source: greedy multi-path block verification as in public code, ties broken by token id.

    Example:
        >>> p, q = np.log([0.5, 0.5]), np.log([0.25, 0.25])
        >>> gbv_tail(p, q, [0.75, 0.75], 2).round(4).tolist()
        [0.875, 0.4844]
    """
    target, draft = check_logprobs(target_logprob, draft_logprob)
    below = _checked_masses(mass_below, target.shape)
    return _tail(target, draft, below, check_num_drafts(num_paths, "num_paths"))


def gbv_text_tail(
    target_logprob: npt.ArrayLike,
    draft_logprob: npt.ArrayLike,
    mass_below: npt.ArrayLike,
    draft_length: int,
    num_paths: int,
    document: str | None = None,
) -> FloatArray:
    """`gbv_tail` of the windows that start at each token of one text, for `tally_windows`.

    Args:
        target_logprob: log p of the text's tokens, shape (N,).
        draft_logprob: log q, shape (N,).
        mass_below: `draft_mass_below` of the text's tokens, shape (N,).
        draft_length: L.
        num_paths: K.
        document: the text's name, for messages.

    Returns:
        Shape (N, L), 0 beyond the end of the text.

    Raises:
        InvalidDistributionError: as `gbv_tail`, or fewer than two tokens.
        InvalidSettingError: L or K below 1.

    Example:
        >>> p, q = np.log([0.5, 0.5]), np.log([0.25, 0.25])
        >>> gbv_text_tail(p, q, [0.75, 0.75], 2, 2).round(4).tolist()
        [[0.875, 0.4844], [0.875, 0.0]]
    """
    length = check_draft_length(draft_length)
    target, draft = check_text(target_logprob, draft_logprob, document)
    below = _checked_masses(mass_below, target.shape)
    return _tail(
        windows(target, length, 0.0),
        windows(draft, length, -np.inf),
        windows(below, length, 0.0),
        check_num_drafts(num_paths, "num_paths"),
    )


def _tail(target: FloatArray, draft: FloatArray, below: FloatArray, num_paths: int) -> FloatArray:
    selected = _selected_logprob(draft, below, num_paths)
    running = selected - np.cumsum(target, axis=-1)
    return np.exp(np.minimum(np.minimum.accumulate(running, axis=-1), 0.0))


def _selected_logprob(draft: FloatArray, below: FloatArray, num_paths: int) -> FloatArray:
    """Logarithm of q_sel of every prefix.

    G^K - (G - q)^K = q G^(K-1) (1 + s + ... + s^(K-1)), where s is (G - q) / G; nothing
    cancels, and nothing underflows.
    """
    path = np.cumsum(draft, axis=-1)
    before = np.concatenate([np.zeros_like(path[..., :1]), path[..., :-1]], axis=-1)
    with np.errstate(divide="ignore"):
        lower = np.logaddexp.accumulate(before + np.log(below), axis=-1)
    upto = np.logaddexp(lower, path)
    # Where G is 0 the path is never drafted, and q_sel is 0 whatever s is.
    share = np.exp(np.subtract(lower, upto, out=np.full_like(path, -np.inf), where=upto > -np.inf))
    powers = np.ones_like(share)
    for _ in range(num_paths - 1):
        powers = 1.0 + share * powers
    scaled = (num_paths - 1) * upto if num_paths > 1 else 0.0
    return np.asarray(path + scaled + np.log(powers))


def _checked_masses(mass_below: npt.ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    below = check_probabilities(mass_below, "mass_below", 1.0 + ROUNDING)
    if below.shape != shape:
        raise InvalidDistributionError(
            f"`mass_below` has shape {below.shape} and `target_logprob` {shape}: give one value of "
            "each for every token"
        )
    return below
