"""Speed-ups as a table: draft lengths across, the best one marked, with its interval."""

from __future__ import annotations

from collections.abc import Sequence

from mdbound.analysis.paths.costs.speedup import Speedups
from mdbound.analysis.paths.costs.target_costs import NO_BATCH
from mdbound.analysis.paths.path_results import LAW_COLUMNS, RULE_COLUMNS
from mdbound.analysis.paths.path_tables import NAMES, rule_title
from mdbound.analysis.tables.table import Interval, Row, Table, shown


def speedup_table(found: Sequence[Speedups], notes: Sequence[str] = ()) -> Table:
    """Lay out speed-ups, a row per rule, laws, batch and draft cost.

    Args:
        found: From `expected_speedups`, at least one.
        notes: Provenance and warnings.
    """
    laws = list(zip(*(each.laws for each in found), strict=True))
    varying = [place for place, values in enumerate(laws) if len(set(values)) > 1]
    batches = [each.batch for each in found] if found[0].batch != NO_BATCH else []
    columns = (*RULE_COLUMNS[1:], *LAW_COLUMNS)
    names = [NAMES.get(columns[place], columns[place]) for place in varying]
    labels = (*names, "verification", *(["batch"] if batches else []), "draft cost", "best L")
    rows: list[Row] = []
    for each in found:
        best = each.best
        row = (
            *("" if each.laws[place] is None else shown(each.laws[place]) for place in varying),
            rule_title(each.scheme),
            *([str(each.batch)] if batches else []),
            f"{each.draft_cost:g}",
            f"{best.length} [{best.low}, {best.high}]",
        )
        cells = tuple(
            Interval.of(mean, low, high, rank=1 if length == best.length else None)
            for length, mean, low, high in zip(
                each.lengths, each.speedup.tolist(), each.low, each.high, strict=True
            )
        )
        rows.append((row, cells))
    return Table(
        caption="Expected speed-up over plain decoding, for each number L of drafted tokens: "
        "tokens per target call over what the call and its drafts cost.",
        labels=labels,
        values=tuple(f"L = {length}" for length in found[0].lengths),
        rows=tuple(rows),
        notes=tuple(notes),
    )
