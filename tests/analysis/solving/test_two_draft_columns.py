"""The closed form in the results is another road than the bound beside it: it can disagree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from mdbound import bounds
from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.solve_batch import solve_batch
from mdbound.logits_cache.store.cache import LogitsCache

GRID = SolveGrid(sampling=("with_replacement",), num_drafts=(1, 2, 3), top_k=(None, 5))


def two_draft_rows(cache: LogitsCache) -> pl.DataFrame:
    batch = next(cache.iter_batches())
    solved = solve_batch(batch.positions, batch.logits, GRID.settings(cache.draft_names))
    return solved.filter(pl.col("num_drafts") == 2)


def differences(rows: pl.DataFrame) -> np.ndarray:
    return np.abs((rows["two_draft_acceptance"] - rows["acceptance"]).to_numpy())


def test_both_roads_meet(cache: LogitsCache) -> None:
    rows = two_draft_rows(cache)
    assert rows.height > 10
    assert differences(rows).max() <= 1e-14
    margin = rows["equals_one_margin"].to_numpy()
    closed = rows["two_draft_acceptance"].to_numpy()
    np.testing.assert_array_equal(closed, 1.0 + np.minimum(margin, 0.0))


def test_a_wrong_solver_shows(cache: LogitsCache, monkeypatch: pytest.MonkeyPatch) -> None:
    right = two_draft_rows(cache)
    solve = bounds.solve_curve_from_logits

    def wrong(*arguments: object, **settings: object) -> object:
        curve = solve(*arguments, **settings)
        return replace(curve, acceptance=curve.acceptance - 1e-12)

    monkeypatch.setattr(bounds, "solve_curve_from_logits", wrong)
    rows = two_draft_rows(cache)
    assert differences(rows).min() > 0.9e-12
    for name in ("two_draft_acceptance", "equals_one_margin", "equals_one"):
        assert rows[name].to_list() == right[name].to_list()
