from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import t

from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.statistics.task_means import ALL_TASKS, task_means
from mdbound.analysis.tables.notes import document_notes
from mdbound.errors import CacheError, InvalidSettingError

QUICK = Bootstrap(resamples=999)


def rows(documents: int, *, task: str = "qa", seed: int = 0) -> pl.DataFrame:
    """Documents of different lengths and levels, at n = 1 and 2."""
    rng = np.random.default_rng(seed)
    frames = [
        pl.DataFrame({"doc_id": document, "acceptance": level + 0.1 * rng.random(length)})
        for document, (level, length) in enumerate(
            zip(rng.random(documents), rng.integers(1, 9, documents), strict=True)
        )
    ]
    once = pl.concat(frames).with_columns(pl.lit(task).alias("task"))
    return pl.concat([once.with_columns(n=1), once.with_columns(pl.col("acceptance") + 1.0, n=2)])


def test_means_over_positions_and_over_documents() -> None:
    frame = rows(7)
    means = task_means(frame.lazy(), by=["n"], bootstrap=QUICK)
    for n in (1, 2):
        group, found = frame.filter(n=n), means.row(by_predicate=pl.col("n") == n, named=True)
        per_document = group.group_by("doc_id").agg(pl.col("acceptance").mean())
        assert found["mean"] == pytest.approx(group["acceptance"].to_numpy().mean(), abs=1e-12)
        assert found["document_mean"] == pytest.approx(
            per_document["acceptance"].to_numpy().mean(), abs=1e-12
        )
        assert (found["documents"], found["positions"]) == (7, group.height)


def test_the_interval_by_resamples_one_by_one() -> None:
    """The same ends from a plain loop: documents drawn, a ratio and its error of each draw."""
    frame = rows(12).filter(n=1)
    parts = [part["acceptance"].to_numpy() for part in frame.partition_by("doc_id")]
    above, below = np.array([part.sum() for part in parts]), np.array([len(part) for part in parts])

    def ratio(chosen: np.ndarray) -> tuple[float, float]:
        mean = above[chosen].sum() / below[chosen].sum()
        off = above[chosen] - mean * below[chosen]
        error = np.sqrt((off**2).sum() * 12 / 11) / below[chosen].sum()
        return float(mean), float(error)

    mean, error = ratio(np.arange(12))
    rng = np.random.default_rng(0)
    drawn = [ratio(chosen) for chosen in rng.integers(0, 12, size=(999, 12))]
    scores = [(other - mean) / spread for other, spread in drawn if spread > 0]
    low, high = np.quantile(scores, [0.025, 0.975])
    found = task_means(frame.lazy(), by=["n"], bootstrap=QUICK).row(0, named=True)
    assert found["low"] == pytest.approx(mean - high * error, abs=1e-12)
    assert found["high"] == pytest.approx(mean - low * error, abs=1e-12)
    assert found["low"] < found["mean"] < found["high"]


@pytest.mark.parametrize("documents", [2, 3, 4])
def test_few_documents_have_the_interval_of_student(documents: int) -> None:
    frame = pl.DataFrame(
        {"doc_id": range(documents), "acceptance": np.linspace(0.4, 0.6, documents)}
    )
    frame = frame.with_columns(task=pl.lit("qa"), n=1)
    found = task_means(frame.lazy(), by=["n"], bootstrap=QUICK).row(0, named=True)
    values = frame["acceptance"].to_numpy()
    half = t.ppf(0.975, documents - 1) * values.std(ddof=1) / np.sqrt(documents)
    assert found["low"] == pytest.approx(max(0.0, 0.5 - half), abs=1e-12)
    assert found["high"] == pytest.approx(min(1.0, 0.5 + half), abs=1e-12)


def test_documents_that_agree_have_an_interval_of_no_width() -> None:
    frame = pl.DataFrame({"doc_id": range(9), "acceptance": [0.7] * 9, "task": "qa", "n": 1})
    found = task_means(frame.lazy(), by=["n"], bootstrap=QUICK).row(0, named=True)
    assert found["low"] == pytest.approx(0.7, abs=1e-12)
    assert found["high"] == pytest.approx(0.7, abs=1e-12)


def test_positions_of_one_document_do_not_narrow_the_interval() -> None:
    few, many = (
        pl.DataFrame({"doc_id": [0, 1, 2, 3] * copies, "acceptance": [0.1, 0.4, 0.6, 0.9] * copies})
        for copies in (1, 50)
    )
    found = [
        task_means(frame.lazy().with_columns(task=pl.lit("qa"), n=1), by=["n"], bootstrap=QUICK)
        for frame in (few, many)
    ]
    assert found[0]["low"].to_list() == pytest.approx(found[1]["low"].to_list(), abs=1e-12)


def test_groups_share_their_resamples_so_that_they_can_be_compared() -> None:
    means = task_means(rows(9).lazy(), by=["n"], bootstrap=QUICK).sort("n")
    low, high = means["low"].to_numpy(), means["high"].to_numpy()
    assert low[1] - low[0] == pytest.approx(1.0, abs=1e-12)
    assert high[1] - high[0] == pytest.approx(1.0, abs=1e-12)


def test_intervals_depend_on_the_seed_alone() -> None:
    frame = rows(9).lazy()
    first, again, other = (
        task_means(frame, by=["n"], bootstrap=Bootstrap(resamples=999, seed=seed))
        for seed in (0, 0, 1)
    )
    assert first.equals(again)
    assert not first.equals(other)


def test_all_tasks_come_first_and_keep_documents_apart() -> None:
    both = pl.concat([rows(3, task="qa"), rows(4, task="math")])
    means = task_means(both.lazy(), by=["n"], bootstrap=QUICK)
    counts = dict(means.filter(n=1).select("task", "documents").iter_rows())
    assert counts == {ALL_TASKS: 7, "qa": 3, "math": 4}
    assert means["task"][0] == ALL_TASKS


def test_one_document_gets_no_interval_and_says_so() -> None:
    means = task_means(rows(1).lazy(), by=["n"], bootstrap=QUICK)
    for name in ("low", "high", "document_low", "document_high"):
        assert means[name].null_count() == means.height
    assert "No interval for qa" in document_notes(means)[0]


@pytest.mark.parametrize(("documents", "warned"), [(19, True), (20, False)])
def test_few_documents_are_warned_about(documents: int, warned: bool) -> None:
    means = task_means(rows(documents).lazy(), by=["n"], bootstrap=QUICK)
    notes = document_notes(means)
    assert bool(notes) == warned
    assert all(f"qa ({documents})" in note for note in notes)


def test_unsolved_rows_are_left_out_and_counted() -> None:
    frame = pl.LazyFrame(
        {
            "task": "qa",
            "doc_id": [0, 0, 1, 1, 2, 2],
            "n": [1, 2] * 3,
            "acceptance": [0.2, 0.3, 0.4, None, 0.9, 1.0],
        }
    )
    means = task_means(frame, by=["n"], bootstrap=QUICK).sort("n")
    assert means["unsolved"].to_list() == [0, 1]
    assert means["mean"].to_list() == pytest.approx([0.5, 0.65], abs=1e-12)
    assert means["documents"].to_list() == [3, 2]
    assert means["low"].null_count() == 0
    assert "1 positions" in document_notes(means)[-1]


def test_a_group_without_a_solved_row_has_no_mean() -> None:
    frame = pl.LazyFrame({"task": "qa", "doc_id": [0, 1], "n": 1, "acceptance": [None, None]})
    means = task_means(frame.cast({"acceptance": pl.Float64}), by=["n"], bootstrap=QUICK)
    assert means["mean"].to_list() == [None]
    assert means["positions"].to_list() == [0]


def test_null_settings_are_groups_too() -> None:
    frame = rows(3).with_columns(top_k=pl.lit(None, dtype=pl.Int64))
    assert task_means(frame.lazy(), by=["n", "top_k"], bootstrap=QUICK)["mean"].null_count() == 0


def test_no_rows_is_an_error() -> None:
    with pytest.raises(CacheError, match="no rows"):
        task_means(rows(1).clear().lazy(), by=["n"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resamples": 10}, "`resamples` 10"),
        ({"confidence": 1.0}, r"`confidence` 1\.0"),
        ({"seed": -1}, "`seed` -1"),
    ],
)
def test_bootstrap_settings_out_of_range(options: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        Bootstrap(**options)  # type: ignore[arg-type]
