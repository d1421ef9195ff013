from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.results import open_results
from mdbound.analysis.solving.selection import Selection
from mdbound.analysis.solving.solve_cache import SolveProgress, solve_cache
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.studies import run_study as run_study_module
from mdbound.analysis.studies.run_study import StudyRun, run_study
from mdbound.analysis.studies.study import Study, TableSpec
from mdbound.analysis.tables.latex import to_latex
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache

GRID = SolveGrid(
    sampling=("with_replacement",),
    temperatures=(0.7, 1.0),
    vocabulary_sizes=(4, None),
    num_drafts=(1, 2),
    drafts=("small",),
    schemes=("k_seq", "rrs_with_replacement"),
)


@pytest.fixture
def study(cache: LogitsCache, tmp_path: Path) -> Study:
    return Study("s", cache.path, tmp_path / "s", GRID, bootstrap=Bootstrap(resamples=199))


def state(folder: Path) -> dict[Path, tuple[bytes, int]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


def rows(run: StudyRun) -> pl.DataFrame:
    return run.results.frame.collect()


def assert_same_rows(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    """Equal, but for the last digits: a solver may share work between the n it is given."""
    numbers = pl.selectors.float()
    assert found.drop(numbers).equals(expected.drop(numbers))
    for name in found.select(numbers).columns:
        assert found[name].is_null().equals(expected[name].is_null())
        difference = (found[name] - expected[name]).abs().max()
        assert difference is None or difference <= 1e-12, name  # type: ignore[operator]


def solved_by(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[str, ...], int, set[int]]]:
    """What each call to the solver is given: tasks, number of settings, all n."""
    calls = []

    def spy(cache, settings, out, **options):  # type: ignore[no-untyped-def]
        numbers = {n for each in settings for n in each.num_drafts}
        calls.append((options["selection"].tasks, len(settings), numbers))
        return solve_cache(cache, settings, out, **options)

    monkeypatch.setattr(run_study_module, "solve_cache", spy)
    return calls


def test_a_second_run_changes_nothing(study: Study) -> None:
    first = run_study(study, command="mdbound sweep s.toml")
    assert (first.settings, first.solved) == (12, 12)
    before = state(study.out)
    second = run_study(study, command="said otherwise")
    assert (second.settings, second.solved) == (12, 0)
    assert state(study.out) == before
    assert set(first.files) <= set(before)
    assert not list(study.out.rglob("*.partial"))


def test_results_are_those_of_solve(study: Study, cache: LogitsCache, tmp_path: Path) -> None:
    found = rows(run_study(study))
    straight = tmp_path / "r.parquet"
    solve_cache(cache, GRID.settings(cache.draft_names), straight)
    key = ["doc_id", "position", "scheme", "temperature", "vocabulary_size", "num_drafts"]
    assert found.sort(key).equals(open_results(straight).frame.collect().sort(key))


def test_only_what_is_missing_is_solved(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(study, grid=replace(GRID, temperatures=(0.7,)), selection=Selection(("qa",)))
    run_study(small)
    calls = solved_by(monkeypatch)
    run_study(replace(small, grid=replace(GRID, temperatures=(0.7,), num_drafts=(1, 2, 3))))
    assert calls == [(("qa",), 6, {3})]
    calls.clear()
    run_study(study)
    assert calls == [(("qa",), 6, {1, 2}), (("a_b",), 12, {1, 2})]


def test_results_do_not_depend_on_the_order_of_solving(study: Study, tmp_path: Path) -> None:
    straight = run_study(study)
    steps = replace(study, out=tmp_path / "steps")
    run_study(replace(steps, selection=Selection(("a_b",))))
    run_study(replace(steps, grid=replace(GRID, num_drafts=(2,), temperatures=(1.0,))))
    last = run_study(steps)
    assert_same_rows(rows(last), rows(straight))
    assert_same_rows(last.means, straight.means)


def test_narrowing_a_study_solves_nothing(study: Study) -> None:
    run_study(study)
    narrow = run_study(replace(study, grid=replace(GRID, num_drafts=(2,), schemes=())))
    assert narrow.solved == 0
    assert rows(narrow)["scheme"].unique().to_list() == ["bound"]
    assert rows(narrow)["num_drafts"].unique().to_list() == [2]
    assert run_study(study).solved == 0


def test_estimates_of_other_n_are_drawn_anew(study: Study) -> None:
    """The draws depend on the n solved together, so rows of two runs would not belong together."""
    grid = SolveGrid(
        sampling=("with_replacement",), num_drafts=(1, 2), drafts=("small",),
        schemes=("importance_sampling",), scheme_samples=10,
    )  # fmt: skip
    run_study(replace(study, grid=grid))
    wider = replace(study, grid=replace(grid, num_drafts=(1, 2, 3)))
    assert run_study(wider).solved == 2
    straight = rows(run_study(replace(wider, out=study.out / "straight")))
    assert_same_rows(rows(run_study(wider)), straight)


def test_an_interrupted_study_goes_on(study: Study) -> None:
    def stop(step: SolveProgress) -> None:
        if step.done > 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(replace(study, batch_rows=4), on_progress=stop)
    steps: list[SolveProgress] = []
    run = run_study(study, on_progress=steps.append)
    assert steps[0].done == 10
    assert run.solved == 12
    assert not list(study.out.rglob("*.parts"))


def test_means_hold_both_averages_and_the_comparison(study: Study) -> None:
    means = run_study(study).means
    bound = means.filter(scheme="bound")
    assert bound["gap"].null_count() == bound.height
    k_seq = means.filter(scheme="k_seq", num_drafts=2)
    for name in ("mean", "document_mean", "gap", "share", "optimal", "accept", "bound"):
        assert k_seq[name].null_count() == 0, name
    gap = (k_seq["bound"] - k_seq["mean"] - k_seq["gap"]).abs().max()
    assert gap <= 1e-11  # type: ignore[operator]
    assert set(means["task"]) == {"all", "qa", "a_b"}


def test_a_table_reads_along_any_setting(study: Study) -> None:
    spec = TableSpec(
        "by_vocabulary",
        across="vocabulary_size",
        caption="Acceptance at two drafts.",
        label="tab:v",
        where={"task": ("all",), "num_drafts": (2,)},
    )
    gap = TableSpec("gap", value="gap", across="temperature")
    run = run_study(replace(study, tables=(spec, gap)))
    table, gaps = run.tables
    assert table.values == ("vocabulary = 4", "vocabulary = full")
    assert table.labels == ("task", "temperature", "scheme")
    assert table.caption.startswith("Acceptance at two drafts (draft small, ")
    for constant in ("vocabulary of target", "draft law with_replacement", "n = 2"):
        assert constant in table.caption
    assert len(table.rows) == 2 * 3
    assert {cell.rank for row in table.rows for cell in row[1] if row[0][2] != "bound"} <= {1, None}
    assert gaps.values == ("temperature = 0.7", "temperature = 1.0")
    assert "n" in gaps.labels
    text = to_latex(table)
    assert r"\label{tab:v}" in text
    assert r"\multicolumn{2}{c}{vocabulary}" not in text  # "full" is no number
    assert "{vocabulary = 4}" in text
    assert r"\label{tab:s-gap}" in to_latex(gaps)
    names = [file.name for file in run.files]
    assert {"by_vocabulary.tex", "gap.md", "results.parquet", "means.parquet"} <= set(names)


def test_every_table_says_when_a_run_was_truncated(study: Study) -> None:
    run = run_study(replace(study, selection=Selection(limit_per_task=2)))
    assert all("TRUNCATED RUN: the first 2 documents" in " ".join(t.notes) for t in run.tables)
    for file in run.files:
        if file.suffix in (".json", ".md") and file.name != "study.json":
            assert "TRUNCATED" in file.read_text()
    assert rows(run)["doc_id"].unique().sort().to_list() == [0, 1, 3, 4]
    whole = run_study(study)
    assert not any("TRUNCATED" in " ".join(table.notes) for table in whole.tables)


def test_independent_drafts_come_in_sets(study: Study) -> None:
    grid = SolveGrid(
        sampling=("independent",),
        draft_temperature_sets=((1.2, 1.0), (1.2, 2.0)),
        num_drafts=(1, 2),
        drafts=("small",),
    )
    run = run_study(replace(study, grid=grid))
    assert rows(run)["draft_temperatures"].unique().sort().to_list() == ["1.2|1.0", "1.2|2.0"]


def test_a_table_without_rows_is_refused(study: Study) -> None:
    nothing = TableSpec("t", where={"num_drafts": (7,)})
    with pytest.raises(InvalidSettingError, match="table 't' of acceptance would be empty"):
        run_study(replace(study, tables=(nothing,)))
    no_schemes = replace(study, grid=replace(GRID, schemes=()), tables=(TableSpec("g", "gap"),))
    with pytest.raises(InvalidSettingError, match="no schemes"):
        run_study(no_schemes)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"value": "gaps"}, "did you mean 'gap'"),
        ({"across": "temprature"}, "did you mean 'temperature'"),
        ({"where": {"tasks": ("all",)}}, "did you mean 'task'"),
    ],
)
def test_unknown_names_in_a_table_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        TableSpec("t", **wrong)  # type: ignore[arg-type]


def test_a_missing_capture_and_an_unknown_task_are_refused(study: Study, tmp_path: Path) -> None:
    with pytest.raises(CacheError):
        run_study(replace(study, capture=tmp_path / "none"))
    with pytest.raises(InvalidSettingError, match="'aq' is unknown"):
        run_study(replace(study, selection=Selection(("aq",))))
