"""Solving during capture leaves the file that capturing, then solving leaves, and no logits."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.results import open_results
from mdbound.analysis.solving.solve_cache import solve_cache
from mdbound.analysis.solving.solve_capture import solve_during_capture
from mdbound.errors import CacheError, InvalidDistributionError, InvalidSettingError
from mdbound.logits_cache.capturing.capture import capture
from mdbound.logits_cache.capturing.progress import CaptureProgress
from mdbound.logits_cache.capturing.settings import CaptureSettings
from mdbound.logits_cache.store.atomic_files import only_writer
from mdbound.logits_cache.store.cache import LogitsCache
from tests.logits_cache.small_models import make_pair

pytest.importorskip("torch")

GRID = SolveGrid(
    sampling=("with_replacement", "without_replacement", "greedy", "independent"),
    temperatures=(0.7, 1.0),
    draft_temperatures=(1.0, 1.3),
    top_k=(None, 20),
    num_drafts=(1, 2, 3),
)
PLAIN = SolveGrid(sampling=("with_replacement",), num_drafts=(1, 2))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return make_pair(tmp_path_factory.mktemp("models"))


@pytest.fixture
def settings(pair: tuple[str, str], tmp_path: Path) -> CaptureSettings:
    """A capture in five shards."""
    text = tmp_path / "prompts.jsonl"
    records = [{"text": f"Question {i}{'?' * i}", "task": "ab"[i % 2]} for i in range(9)]
    text.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return CaptureSettings(
        target=pair[0], drafts=(pair[1],), text=(str(text),), out=tmp_path / "cache",
        mode="generate", max_new_tokens=6, batch_size=2, shard_rows=9, device="cpu",
    )  # fmt: skip


def stop_after(batches: int) -> Callable[[CaptureProgress], None]:
    def on_progress(step: CaptureProgress) -> None:
        if step.passages >= 2 * batches:
            raise KeyboardInterrupt

    return on_progress


def files(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("mode", ["generate", "score"])
def test_equals_capture_then_solve(settings: CaptureSettings, tmp_path: Path, mode: str) -> None:
    if mode == "score":
        settings = replace(settings, mode="score", max_new_tokens=None, max_context=8)
    settings = replace(settings, skip_layers=((1,),))
    direct, detour = tmp_path / "direct.parquet", tmp_path / "detour.parquet"
    summary = solve_during_capture(settings, GRID, direct, batch_rows=4, command="c")
    capture(settings)
    cache = LogitsCache.open(settings.out)
    assert len(cache.shards) > 2
    expected = solve_cache(cache, GRID.settings(cache.draft_names), detour, command="c")
    assert replace(summary, path=detour) == expected
    found = open_results(direct)
    assert found.provenance == open_results(detour).provenance
    frames = found.frame.collect(), open_results(detour).frame.collect()
    assert frames[0].schema == frames[1].schema
    discrete = [name for name, kind in frames[0].schema.items() if kind != pl.Float64]
    discrete.remove("subset_size")  # not unique where sets tie
    assert frames[0].select(discrete).equals(frames[1].select(discrete))
    for name in frames[0].select(pl.col(pl.Float64)).columns:
        one, other = (frame[name].to_numpy() for frame in frames)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12, err_msg=name)


def test_bounds_where_the_logits_are(
    settings: CaptureSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The road that a GPU takes, forced on the CPU: the same file, and no logits made arrays."""
    import torch

    from mdbound.analysis.solving import solve_capture
    from mdbound.bounds import acceptance, from_logits

    grid = replace(GRID, vocabulary_sizes=(None, 30), schemes=("k_seq",))
    host, device = tmp_path / "host.parquet", tmp_path / "device.parquet"
    expected = solve_during_capture(settings, grid, host, batch_rows=4)
    solved: list[bool] = []
    solve_batch = solve_capture.solve_batch

    def watched(positions, logits, chosen):  # type: ignore[no-untyped-def]
        solved.extend(torch.is_tensor(rows) for rows in logits.values())
        return solve_batch(positions, logits, chosen)

    monkeypatch.setattr(solve_capture, "solve_batch", watched)
    for door in (acceptance, from_logits):
        monkeypatch.setattr(door, "host_array", None)
    found = solve_during_capture(settings, grid, device, batch_rows=4, on_device=True)
    assert replace(found, path=host) == expected
    assert solved
    assert all(solved)
    frames = open_results(device).frame.collect(), open_results(host).frame.collect()
    for name, kind in frames[0].schema.items():
        one, other = (frame[name].to_numpy() for frame in frames)
        if kind == pl.Float64:
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-10, err_msg=name)
        elif name != "subset_size":  # not unique where sets tie
            assert (one == other).all() or frames[0][name].equals(frames[1][name]), name


def test_no_logits_and_no_leftovers(settings: CaptureSettings, tmp_path: Path) -> None:
    out = tmp_path / "new" / "r.parquet"
    seen: list[set[str]] = []

    def look(step: CaptureProgress) -> None:
        seen.append({file.parent.name for file in out.parent.rglob("*.parquet*")})

    solve_during_capture(settings, PLAIN, out, on_progress=look)
    assert seen[-1] <= {"results", "new"}
    assert list(out.parent.iterdir()) == [out]
    assert not settings.out.exists()


def test_an_interrupted_run_resumes_after_the_last_shard(
    settings: CaptureSettings, tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole.parquet", tmp_path / "r.parquet"
    expected = solve_during_capture(settings, PLAIN, whole)
    with pytest.raises(KeyboardInterrupt):
        solve_during_capture(settings, PLAIN, out, on_progress=stop_after(3))
    parts = tmp_path / "r.parquet.parts"
    assert not out.exists()
    assert not list(parts.rglob("*.partial"))
    kept = files(parts / "results")
    assert kept
    steps: list[CaptureProgress] = []
    summary = solve_during_capture(settings, PLAIN, out, on_progress=steps.append)
    assert 0 < summary.resumed < summary.positions == expected.positions
    assert steps[0].passages > 0
    assert steps[-1].new_positions == summary.positions - summary.resumed
    assert open_results(out).frame.collect().equals(open_results(whole).frame.collect())
    assert not parts.exists()


def test_a_finished_run_is_left_as_it_is(settings: CaptureSettings, tmp_path: Path) -> None:
    out = tmp_path / "r.parquet"
    first = solve_during_capture(settings, PLAIN, out)
    before = out.read_bytes(), out.stat().st_mtime_ns
    again = solve_during_capture(settings, PLAIN, out, command="other words")
    assert again == replace(first, resumed=first.positions)
    assert (out.read_bytes(), out.stat().st_mtime_ns) == before


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("changes", "grid", "message"),
    [
        ({"seed": 1}, PLAIN, "seed of the capture was 0, now 1"),
        ({"limit": 4}, PLAIN, "documents of the capture was 9, now 4"),
        ({"skip_layers": ((1,),)}, PLAIN, "drafts of the capture was"),
        ({}, SolveGrid(("greedy",), num_drafts=(1, 2)), "sampling was with_replacement, now gr"),
        ({}, SolveGrid(("with_replacement",), num_drafts=(1,)), "num_drafts was"),
    ],
)
def test_another_run_is_not_mixed_in(
    settings: CaptureSettings,
    tmp_path: Path,
    finished: bool,
    changes: dict[str, object],
    grid: SolveGrid,
    message: str,
) -> None:
    out = tmp_path / "r.parquet"
    try:
        solve_during_capture(settings, PLAIN, out, on_progress=None if finished else stop_after(3))
    except KeyboardInterrupt:
        assert not finished
    before = files(tmp_path)
    with pytest.raises(InvalidSettingError, match=message) as refusal:
        solve_during_capture(replace(settings, **changes), grid, out)  # type: ignore[arg-type]
    assert "write to another file, or delete it" in str(refusal.value)
    assert files(tmp_path) == before


def test_parts_of_a_solved_cache_are_kept_apart(settings: CaptureSettings, tmp_path: Path) -> None:
    """`solve --out R` and `capture --solve R` of the same work may follow on each other."""
    out = tmp_path / "r.parquet"
    with pytest.raises(KeyboardInterrupt):
        solve_during_capture(settings, PLAIN, out, on_progress=stop_after(3))
    capture(settings)
    cache = LogitsCache.open(settings.out)
    solve_cache(cache, PLAIN.settings(cache.draft_names), out)
    summary = solve_during_capture(settings, PLAIN, out)
    assert summary.resumed == summary.positions == cache.num_positions


def test_a_damaged_part_is_named(settings: CaptureSettings, tmp_path: Path) -> None:
    out = tmp_path / "r.parquet"
    with pytest.raises(KeyboardInterrupt):
        solve_during_capture(settings, PLAIN, out, on_progress=stop_after(3))
    first = tmp_path / "r.parquet.parts" / "results" / "part-00000.parquet"
    first.write_bytes(first.read_bytes()[:-1] + b"x")
    with pytest.raises(CacheError, match=r"part-00000\.parquet is damaged"):
        solve_during_capture(settings, PLAIN, out)
    assert not out.exists()


def test_one_process_at_a_time(settings: CaptureSettings, tmp_path: Path) -> None:
    out = tmp_path / "r.parquet"
    with pytest.raises(KeyboardInterrupt):
        solve_during_capture(settings, PLAIN, out, on_progress=stop_after(3))
    with (
        only_writer(tmp_path / "r.parquet.parts"),
        pytest.raises(CacheError, match="another process is writing"),
    ):
        solve_during_capture(settings, PLAIN, out)


@pytest.mark.parametrize("on_device", [False, True])
def test_bad_logits_name_the_position(
    settings: CaptureSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_device: bool
) -> None:
    from mdbound.analysis.solving import solve_capture

    score = solve_capture.score_together

    def poisoned(*arguments, **options):  # type: ignore[no-untyped-def]
        for passage, logits in score(*arguments, **options):
            if passage.doc_id == 5:
                rows = logits["small"]
                logits["small"] = rows.clone() if on_device else np.array(rows)
                logits["small"][0, 3] = np.nan
            yield passage, logits

    monkeypatch.setattr(solve_capture, "score_together", poisoned)
    with pytest.raises(InvalidDistributionError, match=r"model 'small' .* document 5, position"):
        solve_during_capture(settings, PLAIN, tmp_path / "r.parquet", on_device=on_device)
    assert not list(tmp_path.rglob("*.partial"))


def test_bad_arguments(settings: CaptureSettings, tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingError, match="is a folder"):
        solve_during_capture(settings, PLAIN, tmp_path)
    with pytest.raises(InvalidSettingError, match="`batch_rows` 0"):
        solve_during_capture(settings, PLAIN, tmp_path / "r.parquet", batch_rows=0)
    with pytest.raises(InvalidSettingError, match="no draft"):
        solve_during_capture(replace(settings, drafts=()), PLAIN, tmp_path / "r.parquet")
    assert not list(tmp_path.glob("r.parquet*"))
