from __future__ import annotations

from pathlib import Path

import pytest

from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.results import open_results
from mdbound.analysis.solving.selection import Selection
from mdbound.analysis.solving.solve_cache import SolveProgress, solve_cache
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache

GRID = SolveGrid(sampling=("greedy",), num_drafts=(1,), drafts=("small",))


def test_only_the_selected_positions_are_solved(cache: LogitsCache, tmp_path: Path) -> None:
    settings = GRID.settings(cache.draft_names)
    whole = tmp_path / "whole.parquet"
    solve_cache(cache, settings, whole)
    for selection, documents in [
        (Selection(("a_b",)), [3, 4, 5]),
        (Selection((), 1), [0, 3]),
        (Selection(("qa",), 2), [0, 1]),
        (Selection(("qa",), 99), [0, 1, 2]),
    ]:
        out = tmp_path / f"{documents}.parquet"
        steps: list[SolveProgress] = []
        summary = solve_cache(
            cache, settings, out, selection=selection, batch_rows=3, on_progress=steps.append
        )
        found = open_results(out).frame.collect()
        assert summary.positions == found.height == steps[-1].total == steps[-1].done
        expected = open_results(whole).frame.collect()
        assert found.equals(expected.filter(expected["doc_id"].is_in(documents)))
        assert open_results(out).provenance.selection == selection.as_dict()


def test_a_finished_part_of_the_capture_is_not_taken_for_all(
    cache: LogitsCache, tmp_path: Path
) -> None:
    settings = GRID.settings(cache.draft_names)
    out = tmp_path / "r.parquet"
    solve_cache(cache, settings, out, selection=Selection(("qa",)))
    assert solve_cache(cache, settings, out, selection=Selection(("qa",))).resumed == 12
    with pytest.raises(InvalidSettingError, match=r"selection was .*qa.*, now all"):
        solve_cache(cache, settings, out)


def test_unknown_tasks_and_empty_limits_are_refused(cache: LogitsCache) -> None:
    with pytest.raises(InvalidSettingError, match=r"`tasks` 'aq' is unknown: .*It can be qa, a_b"):
        Selection(("aq",)).masks(cache)
    with pytest.raises(InvalidSettingError, match="`limit_per_task` 0"):
        Selection(limit_per_task=0)
