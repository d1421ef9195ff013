"""Drafts compared prompt by prompt: differences, win rates, and prompts that are needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mdbound.analysis.paths.draft_comparison import compare_drafts, paired_drafts
from mdbound.analysis.paths.path_results import open_paths
from mdbound.analysis.paths.path_setting import PathGrid
from mdbound.analysis.paths.run_paths import run_on_capture
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache

QUICK = Bootstrap(resamples=400)


def test_rows_are_differences_of_prompts(cache: LogitsCache, tmp_path: Path) -> None:
    grid = PathGrid(lengths=(1, 2), schemes=("block", "k_seq"), drafts=("small", "smaller"))
    results = open_paths(run_on_capture(cache, grid, tmp_path / "p.parquet").path)
    report = compare_drafts(results, "small", tmp_path / "out", within=0.1, bootstrap=QUICK)
    assert len(report.table.rows) == 4
    labels, (difference, wins, prompts, needed) = report.table.rows[0]
    assert labels[0] == "smaller"
    per_call = {}
    for draft in ("small", "smaller"):
        rows = results.frame.filter(draft=draft, scheme="block", draft_length=1).collect()
        per_call[draft] = (rows["call_tokens"] / rows["calls"]).to_numpy()
    expected = per_call["smaller"] - per_call["small"]
    assert difference.mean == pytest.approx(expected.mean(), abs=1e-12)
    assert wins.mean == pytest.approx((expected > 0).mean())
    assert prompts.mean == len(expected) == 6
    half = 1.959964 * expected.std(ddof=1) / 0.1
    assert needed.mean == np.ceil(half**2)
    assert {file.suffix for file in report.files} == {".csv", ".tex", ".md", ".json"}


def test_intervals_cover_and_narrow_as_said() -> None:
    """Of normal differences: 95 % cover, and the prompts that are said give the width."""
    rng = np.random.default_rng(0)
    covered, widths = 0, []
    for _ in range(200):
        differences = 0.3 + 0.5 * rng.normal(size=40)
        found = paired_drafts(2.0 + differences, np.full(40, 2.0), 0.1, QUICK).difference
        assert found.low is not None and found.high is not None  # noqa: PT018
        covered += found.low <= 0.3 <= found.high
        widths.append((found.high - found.low) / 2)
    assert covered >= 180
    differences = 0.5 * rng.normal(size=4_000)
    needed = paired_drafts(differences, np.zeros(4_000), 0.1, QUICK).needed
    assert needed == pytest.approx(96, abs=6)
    assert np.mean(widths) == pytest.approx(0.1 * np.sqrt(needed / 40), rel=0.1)


def test_pairing_matters() -> None:
    """Control: prompts differ far more than drafts do, so unpaired intervals tell nothing."""
    rng = np.random.default_rng(1)
    base = 2.0 + rng.normal(size=60)
    own = base + 0.1 + 0.02 * rng.normal(size=60)
    paired = paired_drafts(own, base, 0.05, QUICK)
    assert paired.difference.low is not None
    assert paired.difference.low > 0.05
    shuffled = paired_drafts(own, rng.permutation(base), 0.05, QUICK)
    assert shuffled.difference.low is not None
    assert shuffled.difference.low < 0.0


def test_equal_drafts_and_refusals(cache: LogitsCache, tmp_path: Path) -> None:
    same = paired_drafts(np.array([2.0, 3.0]), np.array([2.0, 3.0]), 0.1, QUICK)
    assert same.difference.mean == 0.0
    assert same.wins.mean is None
    assert same.needed == 0
    with pytest.raises(InvalidSettingError, match=r"`within` 0\.0"):
        paired_drafts(np.ones(2), np.ones(2), 0.0, QUICK)
    grid = PathGrid(lengths=(1,), schemes=("block",), drafts=("small",))
    results = open_paths(run_on_capture(cache, grid, tmp_path / "p.parquet").path)
    with pytest.raises(InvalidSettingError, match="alone; add another"):
        compare_drafts(results, "small")
    with pytest.raises(InvalidSettingError, match=r"did you mean 'small'"):
        compare_drafts(results, "smal")
