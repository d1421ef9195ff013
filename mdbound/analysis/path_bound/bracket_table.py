"""How much is left: verifiers on generated contexts, and the bounds above them, in one table."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

import mdbound
from mdbound import trees
from mdbound.analysis.path_bound.crossed import CrossedBounds, crossed_bounds, steps_of
from mdbound.analysis.path_bound.generated import VERIFIERS, generated_bounds
from mdbound.analysis.solving.environment import environment
from mdbound.analysis.tables.table import Interval, Row, Table
from mdbound.analysis.trees.tree_tables import BOUND_TITLES
from mdbound.errors import InvalidSettingError
from mdbound.trees import Paths
from mdbound.trees.generated_contexts import NOISE, SPREAD, VOCAB_SIZE

#: Standard errors from a mean to the end of its 95 % interval.
_NORMAL_95 = 1.96

#: Contexts without which halves of halves have too few.
FEWEST_CONTEXTS = 64


def bracket_table(
    laws: Sequence[Paths],
    contexts: int,
    seed: int,
    on_progress: Callable[[int, int], None] | None = None,
    command: str = "",
) -> Table:
    """E tau of verifiers and the bounds, on generated contexts.

    Args:
        laws: K paths of L tokens each.
        contexts: Of each law.
        seed: Of the series.
        on_progress: Called with steps done and their number: contexts made, and fits.
        command: Command line, noted under the table.

    Raises:
        InvalidSettingError: Too few contexts, or no law.

    Example:
        >>> table = bracket_table([Paths(2, 2)], 64, seed=0)
        >>> table.rows[0][0], table.rows[-1][0]
        (('block verification, first path',), ('left, in % of the best verifier',))
    """
    if contexts < FEWEST_CONTEXTS or seed < 0 or not laws:
        raise InvalidSettingError(
            f"`contexts` {contexts}, `seed` {seed}, {len(laws)} `shapes`: give {FEWEST_CONTEXTS} "
            "contexts or more, a seed of 0 or more, a shape or more"
        )
    total = sum(contexts + steps_of(law) for law in laws)
    steps = itertools.count(1)

    def step() -> None:
        if on_progress is not None:
            on_progress(next(steps), total)

    cells: dict[tuple[str, Paths], Interval] = {}
    for law in laws:
        made, accepted = generated_bounds(law, contexts, seed, on_context=step)
        cells |= _cells(law, accepted, crossed_bounds(made, law, on_step=step))
    names = [*VERIFIERS, *(name for name in BOUND_TITLES if (name, laws[0]) in cells)]
    rows: list[Row] = [
        ((_title(name),), tuple(cells.get((name, law), Interval(None)) for law in laws))
        for name in names
    ]
    left = tuple(_left([cells[name, law] for name in VERIFIERS], cells, law) for law in laws)
    versions = environment().items()
    return Table(
        caption=f"Expected accepted length E tau on {contexts} generated contexts (seed {seed}), "
        "and what no verifier that leaves a fresh target behind exceeds.",
        labels=("E tau",),
        values=tuple(law.title() for law in laws),
        rows=(*rows, (("left, in % of the best verifier",), left)),
        notes=(
            f"Rows over {VOCAB_SIZE} tokens that depend on the last token alone: target logits "
            f"N(0, {SPREAD:g}), the draft's with noise N(0, {NOISE:g}), new ones at each context.",
            f"Each half of the contexts ({contexts // 2} and {contexts - contexts // 2}) is "
            "bounded with prices and thresholds that were fitted on the other; the path bound is "
            "the form that was least there.",
            "Intervals are 95% of independent contexts.",
            f"Made with mdbound {mdbound.__version__}, {', '.join(map(' '.join, versions))}.",
            *([f"Written by: {command}"] if command else []),
        ),
    )


def _title(name: str) -> str:
    return BOUND_TITLES.get(name) or trees.verifier(name).title


def _cells(
    law: Paths, accepted: Mapping[str, np.ndarray], found: CrossedBounds
) -> dict[tuple[str, Paths], Interval]:
    made = {}
    for name, values in {**accepted, **found.values}.items():
        error = _NORMAL_95 * float(values.std(ddof=1)) / np.sqrt(len(values))
        mean = float(values.mean())
        made[name, law] = Interval(mean, mean - error, mean + error)
    return made


def _left(
    verifiers: Sequence[Interval], cells: Mapping[tuple[str, Paths], Interval], law: Paths
) -> Interval:
    best = max(each.mean or 0.0 for each in verifiers)
    return Interval(100.0 * ((cells["path_bound", law].mean or 0.0) / best - 1.0))
