from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from mdbound import bounds
from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.results import RESULT_SCHEMA, open_results
from mdbound.analysis.solving.setting import SolveSetting
from mdbound.analysis.solving.solve_cache import SolveProgress, solve_cache
from mdbound.errors import CacheError, InvalidDistributionError, InvalidSettingError, OutputError
from mdbound.logits_cache.store.cache import LogitsCache
from mdbound.logits_cache.store.cache_from_arrays import write_cache
from mdbound.logits_cache.store.manifest import Manifest

LAWS = ("with_replacement", "without_replacement", "greedy", "independent")
EVERYTHING = SolveGrid(
    sampling=LAWS,
    temperatures=(0.7, 1.0),
    draft_temperatures=(1.0, 1.3),
    top_k=(None, 5),
    num_drafts=(1, 2, 3),
)
PLAIN = SolveGrid(sampling=("with_replacement",), num_drafts=(1, 2, 3))


def solved(cache: LogitsCache, grid: SolveGrid, out: Path, **options: Any) -> pl.DataFrame:
    solve_cache(cache, grid.settings(cache.draft_names), out, **options)
    return open_results(out).frame.collect()


def leftovers(folder: Path) -> list[str]:
    return [file.name for file in folder.rglob("*.partial")]


@pytest.fixture(scope="module")
def everything(cache: LogitsCache, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    return solved(cache, EVERYTHING, tmp_path_factory.mktemp("all") / "r.parquet", batch_rows=4)


def test_one_row_per_position_setting_and_n(cache: LogitsCache, everything: pl.DataFrame) -> None:
    settings = EVERYTHING.settings(cache.draft_names)
    assert everything.schema == pl.Schema(RESULT_SCHEMA)
    assert everything.height == cache.num_positions * sum(len(each.num_drafts) for each in settings)
    key = ["doc_id", "position", "sampling", "draft", "temperature", "draft_temperatures", "top_k"]
    assert not everything.select(*key, "num_drafts").is_duplicated().any()
    assert everything["acceptance"].null_count() == 0
    assert (everything["scheme"] == "bound").all()


def test_every_value_is_the_bound_of_its_row(cache: LogitsCache, everything: pl.DataFrame) -> None:
    """Each row against the one-problem API, from distributions made here."""
    (logits,) = [
        {name: np.concatenate([batch.logits[name] for batch in batches]) for name in names}
        for batches in [list(cache.iter_batches())]
        for names in [("target", *cache.draft_names)]
    ]
    for row in everything.sample(120, seed=0).iter_rows(named=True):
        at = row["doc_id"] * 4 + row["position"]
        temperatures = [float(value) for value in row["draft_temperatures"].split("|")]
        names = row["draft"].split("|")
        drafts = [
            bounds.distribution_from_logits(logits[name][at], temperature, row["top_k"])
            for name, temperature in zip(names, temperatures * len(names), strict=False)
        ]
        target = bounds.distribution_from_logits(
            logits["target"][at], row["temperature"], row["top_k"]
        )
        several = row["sampling"] == "independent"
        wanted = bounds.optimal_acceptance(
            target,
            drafts[: row["num_drafts"]] if several else drafts[0],
            row["num_drafts"],
            row["sampling"],
        )
        assert row["acceptance"] == pytest.approx(float(wanted), abs=1e-12), row
        entropy = -float(np.sum(target[target > 0] * np.log(target[target > 0])))
        assert row["target_entropy"] == pytest.approx(entropy, abs=1e-12)


def test_reported_masses_give_the_reported_acceptance(everything: pl.DataFrame) -> None:
    gap = everything.select(
        (1 + pl.col("target_mass") - pl.col("containment") - pl.col("acceptance")).abs().max()
    ).item()
    assert gap <= 1e-12


def test_two_draft_columns_stand_only_where_they_apply(everything: pl.DataFrame) -> None:
    here = (pl.col("sampling") == "with_replacement") & (pl.col("num_drafts") == 2)
    rows, others = everything.filter(here), everything.filter(~here)
    difference = (rows["two_draft_acceptance"] - rows["acceptance"]).abs().to_numpy()
    assert difference.max() <= 1e-12
    assert (rows["equals_one"] == (rows["acceptance"] >= 1 - 1e-12)).all()
    for name in ("two_draft_acceptance", "equals_one_margin", "equals_one"):
        assert others[name].null_count() == others.height


def test_batches_do_not_change_results(
    cache: LogitsCache, everything: pl.DataFrame, tmp_path: Path
) -> None:
    whole = solved(cache, EVERYTHING, tmp_path / "r.parquet", batch_rows=1000)
    assert whole.equals(everything)


@pytest.mark.parametrize("vocab_size", [64, 100, 1500])
def test_the_size_of_a_batch_does_not_choose_the_solver(tmp_path: Path, vocab_size: int) -> None:
    """Four rows of 1,500 tokens are too many for numpy, one is not: all go the same way."""
    rng = np.random.default_rng(vocab_size)
    target = rng.normal(0.0, 2.0, size=(5, vocab_size)).astype(np.float32)
    draft = target + rng.normal(size=target.shape).astype(np.float32)
    write_cache(tmp_path / "c", target, {"small": draft})
    cache = LogitsCache.open(tmp_path / "c")
    grid = SolveGrid(sampling=("with_replacement", "without_replacement"), num_drafts=(1, 2, 3))
    frames = [
        solved(cache, grid, tmp_path / f"{rows}.parquet", batch_rows=rows) for rows in (1, 2, 64)
    ]
    assert frames[0].equals(frames[2])
    assert frames[1].equals(frames[2])


def test_metadata_says_where_results_come_from(cache: LogitsCache, tmp_path: Path) -> None:
    solved(cache, PLAIN, tmp_path / "r.parquet", command="mdbound solve X")
    found = open_results(tmp_path / "r.parquet").provenance
    assert found.capture_identity == cache.manifest.identity()
    assert found.command == "mdbound solve X"
    assert found.settings == [each.as_dict() for each in PLAIN.settings(cache.draft_names)]
    assert pl.read_parquet_metadata(tmp_path / "r.parquet")["capture_identity"]


def interrupt_after(positions: int) -> Callable[[SolveProgress], None]:
    def on_progress(step: SolveProgress) -> None:
        if step.done >= positions:
            raise KeyboardInterrupt

    return on_progress


def test_an_interrupted_run_goes_on_where_it_stopped(cache: LogitsCache, tmp_path: Path) -> None:
    settings = PLAIN.settings(cache.draft_names)
    out = tmp_path / "r.parquet"
    with pytest.raises(KeyboardInterrupt):
        solve_cache(cache, settings, out, batch_rows=4, on_progress=interrupt_after(14))
    assert not out.exists()
    assert [file.name for file in (tmp_path / "r.parquet.parts").glob("*.parquet")] == [
        "part-00000.parquet"
    ]
    assert not leftovers(tmp_path)
    steps: list[SolveProgress] = []
    summary = solve_cache(cache, settings, out, batch_rows=4, on_progress=steps.append)
    assert summary.resumed == 10
    assert steps[0] == SolveProgress(done=10, total=24, new=0)
    assert steps[-1] == SolveProgress(done=24, total=24, new=14)
    assert [file.name for file in tmp_path.iterdir()] == ["r.parquet"]
    straight = solved(cache, PLAIN, tmp_path / "straight.parquet", batch_rows=7)
    assert open_results(out).frame.collect().equals(straight)


def test_a_damaged_part_is_solved_again(cache: LogitsCache, tmp_path: Path) -> None:
    settings = PLAIN.settings(cache.draft_names)
    out = tmp_path / "r.parquet"
    with pytest.raises(KeyboardInterrupt):
        solve_cache(cache, settings, out, batch_rows=4, on_progress=interrupt_after(14))
    (tmp_path / "r.parquet.parts" / "part-00000.parquet").write_bytes(b"PAR1 torn")
    assert solve_cache(cache, settings, out).resumed == 0
    assert solve_cache(cache, settings, out).rows == cache.num_positions * 6


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("other", "message"),
    [
        (SolveGrid(("with_replacement",), (0.5,)), r"setting 1: temperature was 1\.0, now 0\.5"),
        (SolveGrid(("with_replacement",), num_drafts=(1,)), "num_drafts was"),
        (SolveGrid(("with_replacement", "greedy"), num_drafts=(1, 2, 3)), "settings was 2, now 4"),
    ],
)
def test_another_run_is_not_mixed_in(
    cache: LogitsCache, tmp_path: Path, other: SolveGrid, message: str, finished: bool
) -> None:
    out = tmp_path / "r.parquet"
    stop = None if finished else interrupt_after(14)
    try:
        solved(cache, PLAIN, out, batch_rows=4, on_progress=stop)
    except KeyboardInterrupt:
        assert not finished
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(InvalidSettingError, match=message):
        solved(cache, other, out)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_another_capture_is_not_mixed_in(
    cache: LogitsCache, new_cache: Callable[..., LogitsCache], tmp_path: Path
) -> None:
    solved(cache, PLAIN, tmp_path / "r.parquet")
    with pytest.raises(InvalidSettingError, match="capture was"):
        solved(new_cache(rows=8), PLAIN, tmp_path / "r.parquet")


def test_a_finished_run_is_left_as_it_is(cache: LogitsCache, tmp_path: Path) -> None:
    out = tmp_path / "r.parquet"
    solved(cache, PLAIN, out)
    before = out.read_bytes(), out.stat().st_mtime_ns
    summary = solve_cache(cache, PLAIN.settings(cache.draft_names), out, command="other words")
    assert summary.resumed == cache.num_positions
    assert (out.read_bytes(), out.stat().st_mtime_ns) == before


def test_a_full_disk_keeps_finished_parts_and_can_be_resumed(
    cache: LogitsCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0
    write_table = pq.ParquetWriter.write_table

    def full(self: pq.ParquetWriter, *arguments: Any, **options: Any) -> None:
        nonlocal written
        written += 1
        if written == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_table(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", full)
        with pytest.raises(OutputError, match=r"disk full.*free some space.*same command"):
            solved(cache, PLAIN, tmp_path / "r.parquet")
    assert not leftovers(tmp_path)
    assert (tmp_path / "r.parquet.parts" / "part-00000.parquet").exists()
    assert solve_cache(cache, PLAIN.settings(cache.draft_names), tmp_path / "r.parquet").resumed


def test_a_disk_that_fills_while_joining_keeps_every_part(
    cache: LogitsCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0
    write_table = pq.ParquetWriter.write_table

    def full(self: pq.ParquetWriter, *arguments: Any, **options: Any) -> None:
        nonlocal written
        written += 1
        if written > len(cache.shards):
            raise OSError(errno.ENOSPC, "No space left on device")
        write_table(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", full)
        with pytest.raises(OutputError, match="disk full"):
            solved(cache, PLAIN, tmp_path / "r.parquet")
    assert not leftovers(tmp_path)
    assert not (tmp_path / "r.parquet").exists()
    assert len(list((tmp_path / "r.parquet.parts").glob("part-*.parquet"))) == len(cache.shards)


def test_unsolved_rows_are_null_and_counted(
    cache: LogitsCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    solve_curve = bounds.solve_curve_from_logits

    def partly(*arguments: Any, **options: Any) -> bounds.AcceptanceCurve:
        assert options["strict"] is False
        curve = solve_curve(*arguments, **options)
        for values in (curve.acceptance, curve.error_bound, curve.target_mass):
            values[0, 1:] = np.nan
        return curve

    monkeypatch.setattr(bounds, "solve_curve_from_logits", partly)
    settings = PLAIN.settings(["small"])
    summary = solve_cache(cache, settings, tmp_path / "r.parquet", batch_rows=64)
    assert summary.unsolved == 2 * len(cache.shards)
    assert summary.unsolved_positions == len(cache.shards)
    assert summary.first_unsolved[0] == (0, 0)
    assert summary.rows == 3 * cache.num_positions


def test_an_unfinished_capture_is_refused(
    new_cache: Callable[..., LogitsCache], tmp_path: Path
) -> None:
    opened = new_cache()
    manifest = opened.path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"complete": true', '"complete": false'))
    with pytest.raises(CacheError, match=r"not a finished capture.*mdbound capture"):
        solved(LogitsCache.open(opened.path), PLAIN, tmp_path / "r.parquet")


def test_an_empty_capture_is_refused(cache: LogitsCache, tmp_path: Path) -> None:
    from dataclasses import replace

    empty: Manifest = replace(cache.manifest, shards=())
    with pytest.raises(CacheError, match="0 positions"):
        solved(LogitsCache(cache.path, empty), PLAIN, tmp_path / "r.parquet")


def test_logits_that_make_no_distribution_name_the_shard(
    cache: LogitsCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise InvalidDistributionError("row 3 has NaN")

    monkeypatch.setattr(bounds, "entropy_from_logits", refuse)
    with pytest.raises(InvalidDistributionError, match=r"shard 0, .*row 0: row 3 has NaN"):
        solved(cache, PLAIN, tmp_path / "r.parquet")
    assert not leftovers(tmp_path)


def test_bad_arguments_are_refused(cache: LogitsCache, tmp_path: Path) -> None:
    setting = SolveSetting("greedy", ("small",), bounds.Warpers(), (1.0,))
    with pytest.raises(InvalidSettingError, match=r"`batch_rows` 0"):
        solve_cache(cache, [setting], tmp_path / "r.parquet", batch_rows=0)
    with pytest.raises(InvalidSettingError, match="no setting"):
        solve_cache(cache, [], tmp_path / "r.parquet")
    with pytest.raises(InvalidSettingError, match="is a folder"):
        solve_cache(cache, [setting], tmp_path)


def test_a_damaged_run_file_says_what_to_delete(cache: LogitsCache, tmp_path: Path) -> None:
    parts = tmp_path / "r.parquet.parts"
    parts.mkdir()
    (parts / "run.json").write_text("{")
    with pytest.raises(CacheError, match=r"damaged.*delete"):
        solved(cache, PLAIN, tmp_path / "r.parquet")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such results file.*`solve_cache`"),
        (b"not parquet", "cannot be read as Parquet"),
        ({}, "not an mdbound results file"),
        ({"mdbound_format": "99"}, "format 99"),
        ({"mdbound_format": "2"}, "damaged metadata"),
    ],
)
def test_what_is_no_results_file_is_refused(
    tmp_path: Path, content: bytes | dict[str, str] | None, message: str
) -> None:
    path = tmp_path / "r.parquet"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        pl.DataFrame({"x": [1]}).write_parquet(path, metadata=content)
    with pytest.raises(CacheError, match=message):
        open_results(path)
