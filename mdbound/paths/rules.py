"""The rules that verify one drafted path, and what each accepts of a path or of a text.

The law that the tokens were drawn from is called their *own*, the other model's law the *other*:
for text of the target p they are p and q, for a path of the draft q they are q and p. All rules
but block verification have the same formula on both sides.

In the formulas below w is a window of l tokens, and r the running sums of the log-ratios
log(other / own) along it. Theorems T1 to T6 are proved in `docs/tokens-per-call.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray
from mdbound.errors import InvalidSettingError, refuse_unknown

Side: TypeAlias = Literal["target", "draft"]
"""Whose law the tokens were drawn from."""

LogTail: TypeAlias = Callable[[FloatArray, FloatArray], FloatArray]
"""From log-probabilities under own and other law, (..., L), to log P(tau >= l), l = 1..L."""


@dataclass(frozen=True)
class PathRule:
    """One rule of verification.

    Attributes:
        name: what `accepted_tail` knows it by.
        title: what to call it in a table or figure.
        stateless: whether the call after it starts from a fresh target, so that calls can be
            counted along a text.
        log_tail: by side.
    """

    name: str
    title: str
    stateless: bool
    log_tail: dict[Side, LogTail]


def match_log_tail(own: FloatArray, other: FloatArray) -> FloatArray:
    """Both laws draw the same tokens: log of the product of the other law's probabilities.

    Example:
        >>> match_log_tail(np.log([0.5, 0.5]), np.log([0.5, 0.5])).round(6).tolist()
        [-0.693147, -1.386294]
    """
    del own  # the tokens are given, so their own law has spoken already
    return np.cumsum(other, axis=-1)


def single_draft_log_tail(own: FloatArray, other: FloatArray) -> FloatArray:
    """Token by token: log of the product of min(1, other / own).

    Example:
        >>> single_draft_log_tail(np.log([0.5, 0.5]), np.log([0.25, 1.0])).round(6).tolist()
        [-0.693147, -0.693147]
    """
    return np.cumsum(np.minimum(other - own, 0.0), axis=-1)


def block_log_tail_of_text(own: FloatArray, other: FloatArray) -> FloatArray:
    """Block verification given text of the target: the running minimum of 0 and r.

    Example:
        >>> block_log_tail_of_text(np.log([0.5, 0.5]), np.log([0.25, 1.0])).round(6).tolist()
        [-0.693147, -0.693147]
    """
    running = np.cumsum(other - own, axis=-1)
    return np.minimum(np.minimum.accumulate(running, axis=-1), 0.0)


def block_log_tail_of_path(own: FloatArray, other: FloatArray) -> FloatArray:
    """Block verification given the drafted tokens: log rho_l = r_l less the running maximum.

    rho_l = min(1, rho_{l-1} p/q), whose logarithm falls with r and is cut off at 0, unrolls to
    r_l - max(0, r_1, ..., r_l).

    Example:
        >>> block_log_tail_of_path(np.log([0.5, 0.5]), np.log([1.0, 0.25])).round(6).tolist()
        [0.0, -0.693147]
    """
    running = np.cumsum(other - own, axis=-1)
    return running - np.maximum(np.maximum.accumulate(running, axis=-1), 0.0)


def joint_log_tail(own: FloatArray, other: FloatArray) -> FloatArray:
    """The best coupling of path and target path: log of min(1, ratio of joint probabilities).

    Example:
        >>> joint_log_tail(np.log([0.5, 0.5]), np.log([0.25, 1.0])).round(6).tolist()
        [-0.693147, 0.0]
    """
    return np.minimum(np.cumsum(other - own, axis=-1), 0.0)


def _both(log_tail: LogTail) -> dict[Side, LogTail]:
    return {"target": log_tail, "draft": log_tail}


_BLOCK: dict[Side, LogTail] = {"target": block_log_tail_of_text, "draft": block_log_tail_of_path}

RULES: dict[str, PathRule] = {
    rule.name: rule
    for rule in (
        PathRule("match", "match", True, _both(match_log_tail)),
        PathRule("single_draft", "token by token (SpS)", True, _both(single_draft_log_tail)),
        PathRule("block", "block verification", True, _BLOCK),
        # Theorem T1: given the path, ASpS and block verification have one law of (length, token).
        PathRule("asps", "ASpS (is block verification)", True, _BLOCK),
        PathRule(
            "joint",
            "coupling optimum of one call; needs carried state; not a bound on tokens per call "
            "in the long run",
            False,
            _both(joint_log_tail),
        ),
    )
}
"""All rules by name, in the order of their tails: none accepts less than the one before."""

_SIDES: tuple[Side, ...] = ("target", "draft")


def names() -> tuple[str, ...]:
    """Names of the rules, from the one that accepts least.

    `"match"` (sample the target and go on while it equals the draft), `"single_draft"` (SpS:
    speculative sampling token by token), `"block"` (block verification), `"asps"` (an alias: ASpS
    has the same law, theorem T1) and `"joint"` (the optimum over couplings of path and target
    path; its tails bound one call, and it has no calls of a text).

    Example:
        >>> names()
        ('match', 'single_draft', 'block', 'asps', 'joint')
    """
    return tuple(RULES)


def path_rule(scheme: str) -> PathRule:
    """The rule of this name.

    Raises:
        InvalidSettingError: no such rule; the nearest name is suggested.

    Example:
        >>> path_rule("asps").title
        'ASpS (is block verification)'
    """
    refuse_unknown([scheme], RULES, "`scheme`")
    return RULES[scheme]


def stateless_rule(scheme: str) -> PathRule:
    """The rule of this name, for what counts calls along a text.

    Raises:
        InvalidSettingError: no such rule, or one that carries state from call to call.

    Example:
        >>> stateless_rule("joint")
        Traceback (most recent call last):
        mdbound.errors.InvalidSettingError: `scheme` 'joint' has tails and no calls: it needs state
        carried from call to call, and the recursion over calls would give numbers below what any
        rule reaches; take one of match, single_draft, block, asps
    """
    rule = path_rule(scheme)
    if not rule.stateless:
        fits = ", ".join(one.name for one in RULES.values() if one.stateless)
        raise InvalidSettingError(
            f"`scheme` {scheme!r} has tails and no calls: it needs state carried from call to "
            "call, and the recursion over calls would give numbers below what any rule reaches; "
            f"take one of {fits}"
        )
    return rule


def own_and_other(
    target_logprob: FloatArray, draft_logprob: FloatArray, side: Side
) -> tuple[FloatArray, FloatArray]:
    """Log-probabilities under the law the tokens were drawn from, and under the other.

    Example:
        >>> own_and_other(np.array([-1.0]), np.array([-2.0]), "draft")
        (array([-2.]), array([-1.]))
    """
    return {
        "target": (target_logprob, draft_logprob),
        "draft": (draft_logprob, target_logprob),
    }[side]


def check_side(side: str) -> Side:
    """Return the side, or refuse what is none.

    Raises:
        InvalidSettingError: neither `"target"` nor `"draft"`.

    Example:
        >>> check_side("draft")
        'draft'
    """
    refuse_unknown([side], _SIDES, "`side`")
    return next(one for one in _SIDES if one == side)
