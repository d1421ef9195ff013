"""Figures of verifiers of paths: lines are the means of the results, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound.analysis.figures.path_verifiers import BINS, draw_paths_gap, draw_paths_where
from mdbound.analysis.solving.results import Provenance, Results
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.trees.tree_results import TREES_SCHEMA, open_trees, write_trees
from mdbound.errors import InvalidSettingError

pytest.importorskip("matplotlib")
FEW = Bootstrap(resamples=200)
LENGTH = 2
NAMES = {"gbv": 0.0, "quantile": 0.3, "traversal": -0.2}


def row(doc: int, position: int, paths: int, name: str, accepted: float) -> dict[str, object]:
    tail = [0.75 * accepted, 0.25 * accepted]
    made = dict.fromkeys(TREES_SCHEMA)
    return made | {
        "doc_id": doc,
        "task": "qa",
        "position": position,
        "number": 0,
        "draft": "small",
        "temperature": 1.0,
        "draft_temperature": 1.0,
        "tree": f"{paths} paths of {LENGTH} tokens",
        "sampling": "with_replacement",
        "num_paths": paths,
        "depth": LENGTH,
        "verifier": name,
        "sampled": False,
        "accepted": accepted,
        "tail": None if name == "path_bound" else tail,
        "target_entropy": float(position),
        "overlap": 1.0 - position / 20,
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Quantile gains with the position, traversal loses, by document a little more or less."""
    rows = [
        row(doc, position, paths, name, 1.0 + 0.1 * paths + share * position / 10 + 0.01 * doc)
        for doc in range(6)
        for position in range(10)
        for paths in (1, 2, 4)
        for name, share in {**NAMES, "path_bound": 0.5}.items()
    ]
    out = tmp_path_factory.mktemp("figures") / "trees.parquet"
    provenance = Provenance("0", "id", {}, [], "command", {})
    write_trees([pl.DataFrame(rows, schema=dict(TREES_SCHEMA))], out, provenance)
    return open_trees(out)


def test_gap_has_a_line_for_each_verifier_and_bound(results: Results) -> None:
    drawing = draw_paths_gap(results, FEW)
    (axes,) = drawing.figure.axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert set(lines) == {"GBV", "quantile", "traversal", "path bound"}
    assert lines["quantile"].get_xdata().tolist() == [1, 2, 4]
    mean = [1.0 + 0.1 * k + 0.3 * 0.45 + 0.025 for k in (1, 2, 4)]
    assert lines["quantile"].get_ydata() == pytest.approx(mean)
    assert "4 tokens" not in drawing.caption
    assert "K paths of 2 tokens" in drawing.caption


def test_where_groups_contexts_and_depths(results: Results) -> None:
    drawing = draw_paths_where(results, FEW)
    by_entropy, by_overlap, by_depth = drawing.figure.axes
    lines = {line.get_label(): line for line in by_entropy.get_lines()}
    expected = np.arange(10).reshape(BINS, 2).mean(axis=1)
    assert lines["quantile"].get_xdata() == pytest.approx(expected)
    assert lines["quantile"].get_ydata() == pytest.approx(0.03 * expected)
    assert lines["traversal"].get_ydata() == pytest.approx(-0.02 * expected)
    overlap = {line.get_label(): line for line in by_overlap.get_lines()}["quantile"]
    assert (np.diff(overlap.get_ydata()) < 0).all()
    depth = {line.get_label(): line for line in by_depth.get_lines()}["quantile"]
    assert depth.get_ydata() == pytest.approx([0.75 * 0.135, 0.25 * 0.135])
    assert "4 paths of 2 tokens" in drawing.caption


def test_what_cannot_be_drawn(results: Results, tmp_path: Path) -> None:
    one = replace(results, frame=results.frame.filter(pl.col("num_paths") == 2))
    with pytest.raises(InvalidSettingError, match="no length with two numbers of paths"):
        draw_paths_gap(one, FEW)
    alone = replace(results, frame=results.frame.filter(pl.col("verifier") == "gbv"))
    with pytest.raises(InvalidSettingError, match="`verifiers` gbv and"):
        draw_paths_where(alone, FEW)
    other = results.frame.with_columns(pl.lit("large").alias("draft"))
    both = replace(results, frame=pl.concat([results.frame, other]))
    for draw in (draw_paths_gap, draw_paths_where):
        with pytest.raises(InvalidSettingError, match="a figure shows one"):
            draw(both, FEW)
    assert not list(tmp_path.iterdir())
