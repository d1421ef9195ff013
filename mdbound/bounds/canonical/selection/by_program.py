"""Canonical law and selection rule of drafts from different laws, by the transport program.

No order of the tokens serves every slope there, so p_I has no closed form. The plan of the program
hands each drafted set's probability to its tokens: shares of the plan are a selection rule, and
what each token gets is its p_I. As p_I is read off the plan, the scheme is lossless whatever the
program's tolerance, and its acceptance is held against the bound that the program proves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mdbound.bounds.canonical.blocks import Blocks
from mdbound.bounds.canonical.selection.position import DecomposedPosition
from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.bounds.programs.draft_sets import count_pairs
from mdbound.bounds.programs.linear_program import solve_transport
from mdbound.bounds.programs.transport import TransportSolution
from mdbound.errors import InvalidSettingError, UnsolvedError

LARGEST_PROGRAM = 120_000
"""(set, token) pairs at most: top-k 50 for two and three drafts. The program takes seconds there,
and minutes at ten times as many."""

ALLOWED_GAP = 1e-11
"""Between the plan's acceptance and the bound from its dual set."""


@dataclass(frozen=True)
class PlannedPosition(DecomposedPosition):
    """A position with the plan that its canonical law was read off.

    Attributes:
        plan: of the transport program.
    """

    plan: TransportSolution


def by_program(p: FloatArray, drafts: FloatArray, num_drafts: int) -> PlannedPosition:
    """Canonical law of one position, small enough; a block for each token that can be drafted.

    Args:
        p: target, shape (V,).
        drafts: distributions of the drafts, shape (n, V).
        num_drafts: n.

    Raises:
        InvalidSettingError: more than `LARGEST_PROGRAM` pairs of a drafted set and a token.
        UnsolvedError: no plan within `ALLOWED_GAP` of its bound.
    """
    entries = count_pairs(drafts, num_drafts, "independent")
    support = np.flatnonzero((drafts > 0.0).any(axis=0))
    if entries > LARGEST_PROGRAM:
        raise InvalidSettingError(
            f"{num_drafts} drafts of different laws from {len(support)} tokens make {entries:,} "
            f"pairs of a drafted set and a token, and the program takes {LARGEST_PROGRAM:,} at "
            "most: cut the vocabulary (top_k 50 for 2 or 3 drafts), or take the rate alone, which "
            "needs no rule"
        )
    plan = solve_transport(p, list(drafts), num_drafts, "independent")
    if plan.gap > ALLOWED_GAP:
        raise UnsolvedError(
            f"the plan accepts {plan.acceptance!r} where the bound is {plan.upper_bound!r}: "
            f"further apart than {ALLOWED_GAP}"
        )
    slopes = np.full(len(support), np.inf)
    np.divide(plan.selected[support], p[support], out=slopes, where=p[support] > 0.0)
    order = np.argsort(-slopes, kind="stable")
    blocks = Blocks(support[order], np.arange(len(support) + 1), slopes[order])
    return PlannedPosition(p, drafts, num_drafts, plan.selected, blocks, plan)


class ByProgram:
    """Shares of the plan, by drafted set."""

    def __init__(self, position: PlannedPosition) -> None:
        self._position = position
        plan = position.plan
        self._shares = {
            tuple(members): shares
            for sets, flow in zip(plan.sets.members, plan.flow, strict=True)
            for members, shares in zip(sets.tolist(), flow, strict=True)
        }

    def log_shares(self, tokens: IntArray) -> FloatArray:
        """See `SelectionRule`."""
        self._position.ranks(tokens)
        found = np.full(tokens.shape, -np.inf)
        for row, drafted in enumerate(tokens.tolist()):
            members = sorted(set(drafted))
            shares = self._shares.get(tuple(members))
            if shares is None:
                raise InvalidSettingError(
                    f"the tokens {drafted} are never drafted together: give draws of the draft law"
                )
            for place, token in enumerate(drafted):
                share = shares[members.index(token)] / drafted.count(token)
                found[row, place] = np.log(share) if share > 0.0 else -np.inf
        return found
