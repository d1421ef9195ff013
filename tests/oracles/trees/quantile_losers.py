"""The loser of two paths gets a second round: everything given the winner's point, in fractions.

Given the winner's point u, the winner is a draft's path whose point is u, and the loser one whose
point is below u. Both laws come from paths and bins; no filter is needed.
"""

from __future__ import annotations

from fractions import Fraction

from tests.oracles.path_verification import ONE, ZERO, Model, Prefix, paths_of
from tests.oracles.trees.cases import Case
from tests.oracles.trees.dice import Dice, Number, law
from tests.oracles.trees.node_by_node import Block
from tests.oracles.trees.quantile import Bins, root_interval, winners
from tests.oracles.trees.selected_path import rows_of, verify_block

Weights = dict[Prefix, Number]


def given_the_winner(case: Case, bins: Bins, point: Number) -> tuple[Weights, Weights]:
    """Laws of the winner's path and of the loser's."""
    at, below = {}, {}
    for path, mass in paths_of(case.drafts[0], (), case.length):
        places = law(lambda dice, path=path: root_interval(dice, case, bins, path))  # type: ignore[misc]
        at[path] = mass * sum(
            (share / (up - low) for (low, up), share in places.items() if low <= point < up), ZERO
        )
        below[path] = mass * sum(
            (
                share * max(ZERO, min(up, point) - low) / (up - low)
                for (low, up), share in places.items()
            ),
            ZERO,
        )
    assert sum(at.values()) == 1
    assert sum(below.values()) == point
    return at, {path: mass / point for path, mass in below.items()}


def first_round(case: Case, bins: Bins, point: Number) -> dict[Block, Number]:
    """The law of the block given the winner's point, losers dropped."""
    at, _ = given_the_winner(case, bins, point)
    draft = rows_of(winners(case, bins), case)
    found: dict[Block, Number] = {}
    for path, mass in at.items():
        if mass:
            add(found, law(lambda d, x=path: verify_block(d, case.target, draft, x)), mass)  # type: ignore[misc]
    return found


def both_rounds(
    case: Case, bins: Bins, point: Number, *, truncated: bool = True
) -> dict[Block, Number]:
    """The law of the block given the winner's point; the loser goes on where the winner stops.

    It is wrong to take the draft itself for the loser's law (`truncated=False`): having lost says
    something.
    """
    at, below = given_the_winner(case, bins, point)
    draft = rows_of(winners(case, bins), case)
    losers = rows_of(below if truncated else dict(paths_of(case.drafts[0], (), case.length)), case)
    found: dict[Block, Number] = {}
    for winner, mass in at.items():
        stops = law(lambda d, x=winner: verify_block(d, case.target, draft, x)) if mass else {}  # type: ignore[misc]
        for node in {node for node, _ in stops}:
            stopped = {token: share for (x, token), share in stops.items() if x == node}
            residual = row(case, stopped)
            for loser, other in below.items():
                share = mass * other * sum(stopped.values())
                if not share:
                    continue
                if loser[: len(node)] != node or len(node) == case.length:
                    add(found, {(node, t): one for t, one in enumerate(residual) if one}, share)
                    continue
                again = {**case.target, node: residual}
                second = law(lambda d, a=again, x=node, y=loser: go_on(d, losers, a, x, y))  # type: ignore[misc]
                add(found, second, share)
    return found


def row(case: Case, stopped: dict[int, Number]) -> tuple[Number, ...]:
    total = sum(stopped.values())
    return tuple(stopped.get(t, ZERO) / total for t in range(case.vocab_size))


def go_on(dice: Dice, draft: Model, target: Model, node: Prefix, path: Prefix) -> Block:
    """Block verification of the rest of a path, below a node."""

    def below(model: Model) -> Model:
        count = len(node)
        return {key[count:]: one for key, one in model.items() if key[:count] == node}

    accepted, token = verify_block(dice, below(target), below(draft), path[len(node) :])
    return (*node, *accepted), token


def add(found: dict[Block, Number], given: dict[Block, Number], mass: Number) -> None:
    for block, share in given.items():
        found[block] = found.get(block, ZERO) + mass * share


POINTS = tuple(Fraction(k, 11) for k in (1, 3, 5, 8, 10))
"""Inside intervals of most cases, and not at their ends."""
assert all(0 < point < ONE for point in POINTS)
