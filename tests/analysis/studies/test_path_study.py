"""Studies of tokens per call: run piece by piece, resumed, and the same whatever the order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound.analysis.paths.path_results import open_paths
from mdbound.analysis.paths.path_setting import PathGrid
from mdbound.analysis.paths.path_tables import per_call_means
from mdbound.analysis.paths.run_paths import run_on_capture
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.studies import run_path_study as module
from mdbound.analysis.studies.path_study import PathStudy, PathTableSpec
from mdbound.analysis.studies.run_path_study import run_path_study
from mdbound.analysis.tables.latex import to_latex
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache import LogitsCache, write_cache

GRID = PathGrid(
    lengths=(1, 3),
    schemes=("single_draft", "block", "joint", "k_seq"),
    temperatures=(0.7, 1.0),
    draft_temperatures=(None, 1.5),
)


@pytest.fixture
def cache(tmp_path: Path) -> LogitsCache:
    rng = np.random.default_rng(3)
    logits = rng.normal(0.0, 2.0, (2, 36, 8)).astype(np.float32)
    positions = pl.DataFrame(
        {
            "doc_id": [0] * 12 + [1] * 12 + [2] * 12,
            "task": ["qa"] * 24 + ["chat"] * 12,
            "position": [*range(12)] * 3,
            "token_id": [0] * 36,
            "next_token_id": rng.integers(0, 8, 36),
        }
    )
    folder = tmp_path / "cache"
    write_cache(folder, logits[0], {"small": logits[1]}, positions, shard_rows=10)
    return LogitsCache.open(folder)


@pytest.fixture
def study(cache: LogitsCache, tmp_path: Path) -> PathStudy:
    return PathStudy("s", cache.path, tmp_path / "s", GRID, bootstrap=Bootstrap(resamples=199))


def state(folder: Path) -> dict[Path, tuple[bytes, int]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


def rows(study: PathStudy) -> pl.DataFrame:
    return run_path_study(study).results.frame.collect()


def computed_by(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[float, float]]]:
    """Temperatures of target and draft that each pass over the logits is for."""
    calls: list[list[tuple[float, float]]] = []
    real = module.run_on_settings

    def spy(cache, grid, settings, out, **options):  # type: ignore[no-untyped-def]
        calls.append([(one.warpers.temperature, one.draft_temperature) for one in settings])
        return real(cache, grid, settings, out, **options)

    monkeypatch.setattr(module, "run_on_settings", spy)
    return calls


def test_a_second_run_changes_nothing(study: PathStudy) -> None:
    first = run_path_study(study, command="mdbound sweep s.toml")
    assert (first.settings, first.solved) == (4, 4)
    before = state(study.out)
    second = run_path_study(study, command="said otherwise")
    assert (second.settings, second.solved) == (4, 0)
    assert state(study.out) == before
    assert set(first.files) <= set(before)
    assert not list(study.out.rglob("*.partial"))


def test_results_are_those_of_paths(study: PathStudy, cache: LogitsCache, tmp_path: Path) -> None:
    straight = open_paths(run_on_capture(cache, GRID, tmp_path / "p.parquet").path).frame.collect()
    found = rows(study)
    key = ["temperature", "draft_temperature", "doc_id", "scheme", "draft_length"]
    assert found.height == 3 * 4 * 4 * 2
    assert found.sort(key).equals(straight.sort(key))


def test_only_what_is_missing_is_computed_and_the_order_does_not_matter(
    study: PathStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = rows(replace(study, out=tmp_path / "straight"))
    calls = computed_by(monkeypatch)
    run_path_study(replace(study, grid=replace(GRID, temperatures=(1.0,))))
    assert calls == [[(1.0, 1.0), (1.0, 1.5)]]
    calls.clear()
    assert rows(study).equals(straight)
    assert calls == [[(0.7, 0.7), (0.7, 1.5)]]
    calls.clear()
    # What is there already with more rules and lengths is not computed again.
    narrow = replace(GRID, schemes=("joint", "block"), lengths=(3,), draft_temperatures=(1.5,))
    fewer = rows(replace(study, grid=narrow))
    assert calls == []
    assert fewer["scheme"].to_list()[:2] == ["joint", "block"]
    assert fewer.height == 3 * 2 * 2
    assert rows(study).equals(straight)
    calls.clear()
    # Another rule, length or last level is.
    for wider in (
        replace(GRID, lengths=(1, 2, 3)),
        replace(GRID, schemes=(*GRID.schemes, "match")),
        replace(GRID, last_level="exact"),
    ):
        run_path_study(replace(study, grid=wider))
    assert [len(call) for call in calls] == [4, 4, 4]


def test_an_interrupted_study_goes_on(study: PathStudy) -> None:
    def stop(step: object) -> None:
        if step.done > 15:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_path_study(replace(study, batch_rows=4), on_progress=stop)
    seen: list[int] = []
    run = run_path_study(study, on_progress=lambda step: seen.append(step.done))
    assert seen[0] == 20  # the first shard of ten was done, and the second is read as one
    assert run.solved == 4
    assert not list(study.out.rglob("*.parts"))


def test_tables_show_what_the_means_say(study: PathStudy) -> None:
    by_temperature = PathTableSpec(
        "by-temperature",
        across="temperature",
        caption="Tokens per call at L = 3.",
        label="tab:t",
        where={"task": ("all",), "draft_length": (3,), "draft_temperature": (1.5,)},
    )
    at_positions = PathTableSpec("at", value="tokens_at_positions", where={"task": ("chat",)})
    by_scheme = PathTableSpec("rules", across="scheme", where={"draft_length": (1,)})
    run = run_path_study(replace(study, tables=(by_temperature, at_positions, by_scheme)))
    first, second, third = run.tables
    assert first.values == ("temperature = 0.7", "temperature = 1.0")
    assert first.caption.startswith("Tokens per call at L = 3, for each temperature (")
    assert "L 3" in first.caption
    means = per_call_means(run.results, study.bootstrap)
    for labels, cells in first.rows:
        title = {"token by token (SpS)": "single_draft", "block verification": "block"}
        scheme = title.get(labels[1], labels[1])
        for temperature, cell in zip((0.7, 1.0), cells, strict=True):
            (wanted,) = means.filter(
                task="all", scheme=scheme, draft_length=3, temperature=temperature,
                draft_temperature=1.5,
            )["mean"]  # fmt: skip
            assert cell.mean == pytest.approx(wanted, abs=1e-6)
    assert len({cell.mean for _, cells in first.rows for cell in cells}) == 6  # none are alike
    assert any("coupling optimum" in " ".join(labels) for labels, _ in second.rows)
    assert third.values == ("token by token (SpS)", "block verification", "k_seq")
    assert r"\label{tab:t}" in to_latex(first)
    assert r"\label{tab:s-at}" in to_latex(second)
    assert all("Study s." in table.notes for table in run.tables)
    names = {file.name for file in run.files}
    assert {"by-temperature.tex", "at.md", "tokens_at_positions_long.parquet"} <= names
    assert {"paths.parquet", "study.json", "tokens_per_call_long.csv"} <= names


def test_every_study_has_tables(study: PathStudy) -> None:
    run = run_path_study(study)
    kinds = ("tokens_per_call", "tokens_per_call_by_document", "tokens_at_positions")
    assert {f"{kind}.md" for kind in kinds} <= {file.name for file in run.files}
    only = run_path_study(replace(study, grid=replace(GRID, schemes=("joint",))))
    assert [table.label for table in only.tables] == ["tab:s-tokens_at_positions"]


def test_tables_that_cannot_be_are_refused(study: PathStudy) -> None:
    nothing = PathTableSpec("t", where={"draft_length": (7,)})
    with pytest.raises(InvalidSettingError, match="table 't' of tokens_per_call would be empty"):
        run_path_study(replace(study, tables=(nothing,)))
    tails = replace(study, grid=replace(GRID, schemes=("joint",)), tables=(PathTableSpec("t"),))
    with pytest.raises(InvalidSettingError, match="holds tails and no calls"):
        run_path_study(tails)
    for wrong, message in (
        ({"value": "tokens_per_cal"}, "did you mean 'tokens_per_call'"),
        ({"across": "draft_lenght"}, "did you mean 'draft_length'"),
        ({"where": {"tasks": ("all",)}}, "did you mean 'task'"),
    ):
        with pytest.raises(InvalidSettingError, match=message):
            PathTableSpec("t", **wrong)  # type: ignore[arg-type]
