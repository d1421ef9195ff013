"""Tails at other settings of the target than the text's: by hand, and what is refused."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound import bounds, paths
from mdbound.analysis.paths.path_comparison import compare_paths
from mdbound.analysis.paths.path_results import effective_sizes, open_paths
from mdbound.analysis.paths.path_setting import PathGrid, PathSetting
from mdbound.analysis.paths.path_tables import per_call_means, write_path_report
from mdbound.analysis.paths.run_paths import run_on_capture
from mdbound.analysis.paths.tallies import TextCounts, tally_rows
from mdbound.analysis.paths.texts import ScoredText
from mdbound.bounds import Warpers
from mdbound.errors import InvalidDistributionError, InvalidSettingError
from mdbound.logits_cache import CaptureSettings, LogitsCache, capture

pytest.importorskip("torch")
WANTED = {"temperature": 0.95, "top_k": 2000}
GRID = PathGrid(lengths=(1, 3), temperatures=(0.95,), top_k=(2000,))
THINGS = ("sky", "sea", "ice", "ink", "jay", "flax", "iris", "gem", "bird", "cup", "eye", "plum")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> CaptureSettings:
    folder = tmp_path_factory.mktemp("answers")
    prompts = folder / "prompts.jsonl"
    prompts.write_text(
        "\n".join(json.dumps({"prompt": f"Say why {thing} is blue."}) for thing in THINGS)
    )
    return CaptureSettings(
        target="tiny:target",
        drafts=("tiny:draft",),
        text=(str(prompts),),
        out=folder / "cache",
        mode="generate",
        max_new_tokens=30,
        shard_rows=50,
        batch_size=3,
        device="cpu",
    )


@pytest.fixture(scope="module")
def answers(settings: CaptureSettings) -> LogitsCache:
    capture(settings)
    return LogitsCache.open(settings.out)


@pytest.fixture(scope="module")
def rows_of_documents(answers: LogitsCache) -> dict[int, list[tuple[np.ndarray, ...]]]:
    """p and q at the wanted setting, s of the text, and the token, position by position."""
    found: dict[int, list] = {}
    for batch in answers.iter_batches(batch_rows=7):
        for row, place in enumerate(batch.positions.iter_rows(named=True)):
            target, draft = (batch.logits[name][row] for name in ("target", answers.draft_names[0]))
            found.setdefault(place["doc_id"], []).append(
                (
                    bounds.distribution_from_logits(target, **WANTED),
                    bounds.distribution_from_logits(draft, **WANTED),
                    bounds.distribution_from_logits(target),
                    place["next_token_id"],
                )
            )
    return found


def weighted_by_hand(rows: list, length: int, *, exact: bool) -> tuple[np.ndarray, ...]:
    """Mean of weight times tail of block verification, weights and their squares, l = 1..L."""
    count = len(rows) - length + 1
    sums, weights, squares = (np.zeros(length) for _ in range(3))
    for start in range(count):
        weight, ratios = 1.0, [1.0]
        for level in range(length):
            p, q, s, token = rows[start + level]
            own = weight if exact else weight * p[token] / s[token]
            if exact:
                tail = np.minimum(min(ratios) * p, ratios[-1] * q).sum()
            else:
                tail = min(*ratios, ratios[-1] * q[token] / p[token]) if p[token] else 0.0
            sums[level] += own * tail
            weights[level] += own
            squares[level] += own**2
            weight *= p[token] / s[token]
            ratios.append(ratios[-1] * q[token] / p[token] if p[token] else 0.0)
    return sums / count, weights, squares


@pytest.mark.parametrize("last_level", ["sampled", "exact"])
def test_windows_are_weighted(
    answers: LogitsCache, rows_of_documents: dict, tmp_path: Path, last_level: str
) -> None:
    grid = replace(GRID, last_level=last_level)
    summary = run_on_capture(answers, grid, tmp_path / "p.parquet", batch_rows=11)
    results = open_paths(summary.path)
    rows = results.frame.collect()
    assert rows.select("temperature", "top_k").unique().rows() == [(0.95, 2000)]
    for name in ("starts", "calls", "call_tokens", "tail_calls"):
        assert rows[name].null_count() == rows.height
    pooled = np.zeros((2, 3))
    unweighted = 0
    for row in rows.filter(scheme="block").iter_rows(named=True):
        document = rows_of_documents[int(row["doc_id"])]
        tail, weights, squares = weighted_by_hand(
            document, row["draft_length"], exact=last_level == "exact"
        )
        assert row["tail_positions"] == pytest.approx(tail.tolist(), rel=1e-9)
        assert row["weights"] == pytest.approx(weights.tolist(), rel=1e-9)
        assert row["effective_size"] == pytest.approx((weights**2 / squares).tolist(), rel=1e-9)
        assert row["last_level"] == last_level
        if row["draft_length"] == 3:
            pooled += weights, squares
            unweighted += not np.allclose(weights, row["positions"], rtol=1e-3)
    assert unweighted == len(rows_of_documents)  # the control: weights are not all 1
    (size,) = effective_sizes(results)
    # `match` has no exact last level, so that its weights are of all three tokens.
    assert (size.law, size.draft_length) == (WANTED, 3)
    if last_level == "sampled":
        assert size.size == pytest.approx((pooled[0] ** 2 / pooled[1]).min(), rel=1e-9)
    assert 100.0 <= size.size < size.windows


def test_too_few_windows_in_effect_are_refused_by_name(
    answers: LogitsCache, tmp_path: Path
) -> None:
    grid = PathGrid(lengths=(2, 6), temperatures=(1.0, 0.4))
    message = r"`temperature` 0\.4: weights leave \d+\.\d of \d+ windows in effect at length \d"
    with pytest.raises(InvalidDistributionError, match=message):
        run_on_capture(answers, grid, tmp_path / "p.parquet")
    assert not (tmp_path / "p.parquet").exists()


@pytest.mark.parametrize(("texts", "refused"), [(1, True), (2, False)])
def test_windows_count_once_however_many_drafts_there_are(texts: int, refused: bool) -> None:
    """60 windows are too few for two drafts as for one; 120 are enough."""
    logs = np.full(60, -1.0)
    counts = TextCounts()
    for number, temperature in itertools.product(range(texts), (0.5, 1.0)):
        setting = PathSetting("small", Warpers(0.9), temperature, Warpers(1.0)).columns()
        text = ScoredText(str(number), 0, "qa", "stop", logs, logs, setting, sampling_logprob=logs)
        tally_rows(text, ["block"], [1], counts)
    if refused:
        with pytest.raises(InvalidDistributionError, match=r"weights leave 60\.0 of 60 windows"):
            counts.refuse_few_in_effect()
    else:
        counts.refuse_few_in_effect()


def test_the_law_of_the_text_is_had_as_ever(answers: LogitsCache, tmp_path: Path) -> None:
    """Beside others, and asked for by its values."""
    grid = PathGrid(lengths=(1, 2), schemes=("block",))
    plain = open_paths(run_on_capture(answers, grid, tmp_path / "p.parquet").path).frame.collect()
    both = replace(grid, temperatures=(1.0, 0.9))
    results = open_paths(run_on_capture(answers, both, tmp_path / "b.parquet").path)
    rows = results.frame.collect()
    assert rows.filter(temperature=1.0).equals(plain)
    assert plain["weights"].null_count() == plain.height
    assert rows.filter(temperature=0.9)["weights"].null_count() == 0
    report = write_path_report(results, tmp_path / "report")
    below = " ".join(report.table.notes)
    assert "Weighted to temperature 0.9, at contexts of the text's own law: tails only" in below
    assert per_call_means(results)["temperature"].unique().to_list() == [1.0]


def test_results_without_calls_have_tables_of_positions_alone(
    answers: LogitsCache, tmp_path: Path
) -> None:
    results = open_paths(run_on_capture(answers, GRID, tmp_path / "p.parquet").path)
    report = write_path_report(results, tmp_path / "report")
    assert {file.stem for file in report.files} == {
        "tokens_at_positions",
        "tokens_at_positions-standalone",
    }
    assert "at any position" in report.table.caption
    with pytest.raises(InvalidSettingError, match="holds tails and no calls"):
        per_call_means(results)
    with pytest.raises(InvalidSettingError):
        compare_paths(results)


@pytest.mark.parametrize(
    ("captured", "grid", "message"),
    [
        (Warpers(0.0), PathGrid(temperatures=(0.7,)), "written at `temperature` 0.0"),
        (Warpers(1.0, top_k=20), PathGrid(top_k=(40,)), "`top_k` 20 and 40 is wanted"),
        (Warpers(1.0, top_k=20), PathGrid(top_k=(None,)), "`top_k` 20 and None is wanted"),
        (Warpers(1.0, top_p=0.9), PathGrid(temperatures=(1.2,)), "cut at `top_p` 0.9"),
        (
            Warpers(1.0),
            PathGrid(temperatures=(0.7,), schemes=("block", "gbv", "k_seq")),
            "`schemes` gbv, k_seq: the text was sampled with temperature 1.0, and only rules of",
        ),
    ],
)
def test_what_the_text_cannot_stand_for(captured: Warpers, grid: PathGrid, message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        grid.settings(["small"], captured)


def test_what_is_not_asked_for_is_as_in_the_text() -> None:
    captured = Warpers(0.9, top_k=20, top_p=0.95)
    (same,) = PathGrid().settings(["small"], captured)
    assert (same.warpers, same.sampled) == (captured, None)
    cooler, cut = PathGrid(temperatures=(0.7,), top_k=(20, 10)).settings(["small"], captured)
    assert cooler.warpers == Warpers(0.7, top_k=20, top_p=0.95)
    assert cut.warpers == Warpers(0.7, top_k=10, top_p=0.95)
    assert cut.sampled == cooler.sampled == captured
    # Text that was given is nobody's: its numbers at any setting have no weights.
    assert PathGrid(temperatures=(0.7,)).settings(["small"], None)[0].sampled is None


def test_rows_and_their_levels_weigh_alike() -> None:
    rng = np.random.default_rng(5)
    p, q, s = rng.dirichlet(np.full(9, 0.6), (3, 12))
    tokens = [rng.choice(9, p=row) for row in s]
    p[4, tokens[4]] = 0.0
    p[4] /= p[4].sum()
    with np.errstate(divide="ignore"):
        logs = [np.log(law[range(12), tokens]) for law in (p, q, s)]
    kept = [np.where(np.isneginf(logs[0]), 0.0, one) for one in logs[:2]]
    before = [np.array([[*[np.nan] * 2, *one][i : i + 2] for i in range(12)]) for one in kept]
    levels = paths.last_level_of_rows(p, q, *before, "block")
    one = paths.tally_reweighted(*logs, 3, "block", [(p, q)])
    other = paths.tally_reweighted(*logs, 3, "block", last_levels=levels)
    for name in ("accepted", "weights", "squares"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12)
    plain = paths.tally_reweighted(*logs, 3, "block")
    assert not np.allclose(plain.accepted, other.accepted)


def test_files_of_the_first_version_are_read(answers: LogitsCache, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    grid, out = PathGrid(lengths=(2,)), tmp_path / "p.parquet"
    run_on_capture(answers, grid, out)
    table = pq.read_table(out)
    metadata = {**table.schema.metadata, b"mdbound_paths_format": b"1"}
    recorded = json.loads(metadata[b"settings"])
    for each in recorded:
        del each["last_level"]
    metadata[b"settings"] = json.dumps(recorded).encode()
    older = table.drop_columns(["last_level", "weights", "effective_size"])
    pq.write_table(older.replace_schema_metadata(metadata), out)
    rows = open_paths(out).frame.collect()
    assert rows["last_level"].unique().to_list() == ["sampled"]
    assert rows.drop("last_level", "weights", "effective_size").equals(pl.from_arrow(older))
    before = out.read_bytes()
    assert run_on_capture(answers, grid, out).counts is None  # a finished run of the same command
    assert out.read_bytes() == before
