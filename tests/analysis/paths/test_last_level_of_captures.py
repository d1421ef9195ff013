"""The exact last level of a capture: against its rows by hand, whatever pieces they are read in."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound import bounds
from mdbound.analysis.paths.path_results import open_paths
from mdbound.analysis.paths.path_setting import PathGrid
from mdbound.analysis.paths.run_paths import run_on_capture
from mdbound.analysis.paths.tokens_before import TokensBefore
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache import LogitsCache, write_cache

VOCAB = 7
RULES = ("match", "single_draft", "block", "asps", "joint")
#: Documents whose rows lie between each other's, as windows of texts in a batch do, with their
#: positions; document 5 has two texts.
PLACES = [(3, 0), (3, 1), (5, 8), (3, 2), (5, 9), (5, 10), (3, 3), (3, 4), (5, 11), (3, 5), (5, 20),
          (5, 21), (5, 22), (3, 6), (5, 23), (3, 7)]  # fmt: skip


def made(folder: Path, places: list[tuple[int, int]] = PLACES, shard_rows: int = 5) -> LogitsCache:
    rng = np.random.default_rng(8)
    logits = rng.normal(0.0, 1.5, (2, len(places), VOCAB)).astype(np.float32)
    documents, positions = zip(*places, strict=True)
    frame = pl.DataFrame(
        {
            "doc_id": documents,
            "task": ["qa"] * len(places),
            "position": positions,
            "token_id": [0] * len(places),
            "next_token_id": rng.integers(0, VOCAB, len(places)),
        }
    )
    write_cache(folder, logits[0], {"small": logits[1]}, frame, shard_rows=shard_rows)
    return LogitsCache.open(folder)


@pytest.fixture
def cache(tmp_path: Path) -> LogitsCache:
    return made(tmp_path / "cache")


def rows_of(cache: LogitsCache, text: tuple[int, int, int]) -> tuple[np.ndarray, ...]:
    """Both laws and the tokens of one text: document, first position, number of tokens."""
    document, first, count = text
    found = {}
    for batch in cache.iter_batches(batch_rows=4):
        for row, place in enumerate(batch.positions.iter_rows(named=True)):
            pair = []
            for name in ("target", "small"):
                weights = np.exp(batch.logits[name][row].astype(np.float64))
                pair.append(weights / weights.sum())
            found[place["doc_id"], place["position"]] = (*pair, place["next_token_id"])
    rows = [found[document, first + i] for i in range(count)]
    return tuple(np.array([row[k] for row in rows]) for k in range(3))


def by_hand(text: tuple[np.ndarray, ...], length: int, scheme: str) -> list[float]:
    """Mean over full windows of P(tau >= l), the last token drawn from p in full, l = 1..L."""
    p, q, tokens = text
    sums = np.zeros(length)
    count = len(tokens) - length + 1
    for start in range(count):
        for level in range(1, length + 1):
            at = range(start, start + level - 1)
            ratios = [q[i, tokens[i]] / p[i, tokens[i]] for i in at]
            last = start + level - 1
            for y in range(VOCAB):
                path = [*ratios, q[last, y] / p[last, y]]
                accepted = {
                    "single_draft": np.prod(np.minimum(path, 1.0)),
                    "block": min(1.0, *np.cumprod(path)),
                    "joint": min(1.0, np.prod(path)),
                }
                sums[level - 1] += p[last, y] * accepted[scheme]
    return (sums / count).tolist()


def run(cache: LogitsCache, out: Path, **options: object) -> pl.DataFrame:
    summary = run_on_capture(cache, PathGrid(schemes=RULES, **options), out, batch_rows=3)
    return open_paths(summary.path).frame.collect()


TEXTS = {("3", 0): (3, 0, 8), ("5", 0): (5, 8, 4), ("5", 1): (5, 20, 4)}


def test_tails_are_those_of_the_rows(cache: LogitsCache, tmp_path: Path) -> None:
    grid = {"lengths": (1, 3), "draft_temperatures": (None, 0.7)}
    exact = run(cache, tmp_path / "e.parquet", last_level="exact", **grid)
    sampled = run(cache, tmp_path / "s.parquet", **grid)
    differing = 0
    for row, plain in zip(exact.to_dicts(), sampled.to_dicts(), strict=True):
        estimator = "sampled" if row["scheme"] == "match" else "exact"
        assert (row["last_level"], plain["last_level"]) == (estimator, "sampled")
        # All but tails over positions is what it is without.
        changed = ("last_level", "tail_positions")
        assert {k: v for k, v in row.items() if k not in changed} == {
            k: v for k, v in plain.items() if k not in changed
        }
        if row["scheme"] == "match" or row["draft_temperature"] != 1.0:
            continue
        scheme = "block" if row["scheme"] == "asps" else row["scheme"]
        text = rows_of(cache, TEXTS[row["doc_id"], row["turn"]])
        wanted = by_hand(text, row["draft_length"], scheme)
        assert row["tail_positions"] == pytest.approx(wanted, abs=1e-12)
        differing += plain["tail_positions"] != pytest.approx(wanted, abs=1e-3)
    assert differing == 3 * 4 * 2  # the control: the sampled last token is something else


def test_level_one_is_the_bound_of_one_draft(cache: LogitsCache, tmp_path: Path) -> None:
    rows = run(cache, tmp_path / "e.parquet", last_level="exact", lengths=(1, 4))
    for scheme, length in (("block", 1), ("joint", 1), ("single_draft", 4)):
        of_rule = rows.filter(scheme=scheme, draft_length=length)
        for row in of_rule.iter_rows(named=True):
            p, q, _ = rows_of(cache, TEXTS[row["doc_id"], row["turn"]])
            best = bounds.optimal_acceptance(p, q, 1)[: row["positions"]]
            assert row["tail_positions"][0] == pytest.approx(best.mean(), abs=1e-12)
    plain = run(cache, tmp_path / "s.parquet", lengths=(1,)).filter(scheme="block")
    one = rows.filter(scheme="block", draft_length=1)
    assert plain["tail_positions"].to_list() != one["tail_positions"].to_list()


@pytest.mark.parametrize("stop_at", [3, 8, 13])
def test_an_interrupted_run_knows_the_tokens_before(
    cache: LogitsCache, tmp_path: Path, stop_at: int
) -> None:
    grid = PathGrid(lengths=(4,), last_level="exact")
    whole = run_on_capture(cache, grid, tmp_path / "whole.parquet", batch_rows=64)

    def stop(step: object) -> None:
        if step.done >= stop_at:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    out = tmp_path / "p.parquet"
    with pytest.raises(KeyboardInterrupt):
        run_on_capture(cache, grid, out, batch_rows=2, on_progress=stop)
    assert not out.exists()
    run_on_capture(cache, grid, out, batch_rows=2)
    found, wanted = (open_paths(one).frame.collect() for one in (out, whole.path))
    assert found.drop("tail_positions").equals(wanted.drop("tail_positions"))
    pairs = zip(found["tail_positions"], wanted["tail_positions"], strict=True)
    assert all(one.to_list() == pytest.approx(two.to_list(), abs=1e-14) for one, two in pairs)


def test_rows_out_of_order_are_refused(tmp_path: Path) -> None:
    places = [*PLACES[:3], PLACES[6], PLACES[3], *PLACES[4:6], *PLACES[7:]]
    cache = made(tmp_path / "cache", places)
    grid = PathGrid(lengths=(2,), last_level="exact")
    with pytest.raises(CacheError, match="document 3: its rows do not follow each other"):
        run_on_capture(cache, grid, tmp_path / "p.parquet")
    # One token needs none before it, and sampled ones are had in any order.
    run_on_capture(cache, PathGrid(lengths=(1,), last_level="exact"), tmp_path / "one.parquet")
    run_on_capture(cache, PathGrid(lengths=(2,)), tmp_path / "sampled.parquet")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"last_level": "exakt"}, "did you mean 'exact'"),
        ({"last_level": "exact", "schemes": ("match",)}, "none of `schemes` match has one"),
    ],
)
def test_last_levels_that_are_none(options: dict, message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        PathGrid(**options)


def test_what_is_held_does_not_grow_with_a_document() -> None:
    def held(rows: int, documents: int) -> int:
        before = TokensBefore(7, 2)
        for first in range(0, rows, 50):
            places = {
                "doc_id": [first // 50 % documents] * 50,
                "position": range(first, first + 50),
            }
            names = [f"{side}_{index}" for index in (0, 1) for side in ("target", "draft")]
            before.advance(pl.DataFrame({**places, **dict.fromkeys(names, [-1.0] * 50)}))
        return len(pickle.dumps(before._kept))

    assert held(10_000, 1) < 1.02 * held(500, 1)  # a larger number of the position
    assert held(10_000, 10) > 5 * held(500, 1)  # what would show it
