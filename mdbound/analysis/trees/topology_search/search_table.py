"""The table of a topology search, and the speed-up that is expected of what it found."""

from __future__ import annotations

from collections.abc import Sequence

from mdbound.analysis.tables.table import Interval, Row, Table
from mdbound.analysis.trees.gap_series import NORMAL_95
from mdbound.analysis.trees.topology_search.search_capture import FoundTopology


def search_table(
    found: Sequence[FoundTopology], draft_cost: float | None, notes: Sequence[str] = ()
) -> Table:
    """What the search expects, and what the topologies reach on the text.

    Args:
        found: Of `search_capture`.
        draft_cost: A draft step over a target call, whose cost is taken as flat; None leaves the
            speed-up out.
        notes: Provenance.
    """
    rows: list[Row] = []
    for one in found:
        for name, (expected, tree), value in (
            ("pooled", one.pooled, one.pooled_value),
            ("weighted by depth", one.weighted, one.weighted_value),
        ):
            error = value.standard_error
            half = None if error is None else NORMAL_95 * error
            length = value.expected_length
            cells = [
                Interval(expected),
                Interval(length)
                if half is None
                else Interval(length, length - half, length + half),
            ]
            if draft_cost is not None:
                cells.append(Interval((1.0 + length) / (1.0 + draft_cost * tree.depth)))
            labels = (str(one.budget), name, f"{tree.size} nodes, depth {tree.depth}")
            rows.append((labels, tuple(cells)))
    cost = () if draft_cost is None else (f"speed-up, draft cost {draft_cost:g}",)
    return Table(
        caption="Best topology for each budget of nodes: E tau that the search expects of it, and "
        "that it has on the text (a mean over positions).",
        labels=("budget", "acceptance by slot", "tree"),
        values=("expected by the search", "on the text", *cost),
        rows=tuple(rows),
        notes=tuple(notes),
    )
