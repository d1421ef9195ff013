"""What each way of drafting is worth, against sums by hand and against `solve`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound.analysis.draft_laws.compare_laws import LawGrid, WayRates, compare_laws
from mdbound.analysis.draft_laws.law_table import draw_laws, law_table
from mdbound.analysis.draft_laws.ways import WAYS
from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.results import open_results
from mdbound.analysis.solving.solve_cache import solve_cache
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.cli import main
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache

FEW = Bootstrap(resamples=200)
GRID = LawGrid(
    num_drafts=(1, 2, 4), temperatures=(0.7, 1.0), draft_temperatures=(None, 1.3), batch_rows=5
)


@pytest.fixture(scope="module")
def found(cache: LogitsCache) -> list[WayRates]:
    return compare_laws(cache, GRID, FEW)


def softmax(rows: np.ndarray, temperature: float) -> np.ndarray:
    scaled = rows.astype(np.float64) / temperature
    found = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def logits(cache: LogitsCache) -> tuple[np.ndarray, np.ndarray]:
    batches = list(cache.iter_batches())
    target, draft = (
        np.concatenate([batch.logits[name] for batch in batches]) for name in ("target", "small")
    )
    return target, draft


def test_every_way_at_every_pair_of_temperatures(found: list[WayRates]) -> None:
    assert [each.way for each in found[: len(WAYS)]] == list(WAYS)
    cells = [(each.temperature, each.draft_temperature) for each in found[:: len(WAYS)]]
    assert cells == [(0.7, 0.7), (0.7, 1.3), (1.0, 1.0), (1.0, 1.3)]


def test_fixed_sets_and_exact_match_by_hand(cache: LogitsCache, found: list[WayRates]) -> None:
    target, draft = logits(cache)
    for each in found:
        p, q = softmax(target, each.temperature), softmax(draft, each.draft_temperature)
        for n, mean in zip(GRID.num_drafts, each.mean, strict=True):
            if each.way == "fixed set of the likeliest":
                kept = np.argsort(-draft, axis=1, kind="stable")[:, :n]
                values = [row[tokens].sum() for row, tokens in zip(p, kept, strict=True)]
            elif each.way == "drawn, exact match":
                values = (p * (1.0 - (1.0 - q) ** n)).sum(axis=1).tolist()
            else:
                continue
            assert mean == pytest.approx(np.mean(values), abs=1e-12)
            low, high = each.low[GRID.num_drafts.index(n)], each.high[GRID.num_drafts.index(n)]
            assert low < mean < high


@pytest.mark.parametrize("law", ["with_replacement", "without_replacement", "greedy"])
def test_optima_are_those_of_solve(
    cache: LogitsCache, found: list[WayRates], tmp_path: Path, law: str
) -> None:
    grid = SolveGrid(
        sampling=(law,),
        num_drafts=GRID.num_drafts,
        temperatures=(0.7,),
        draft_temperatures=(1.3,),
        drafts=("small",),
    )
    solve_cache(cache, grid.settings(cache.draft_names), tmp_path / "r.parquet")
    frame = open_results(tmp_path / "r.parquet").frame.collect()
    means = frame.group_by("num_drafts").agg(pl.col("acceptance").mean()).sort("num_drafts")
    word = law.split("_", maxsplit=1)[0]
    (mine,) = (
        each
        for each in found
        if (each.temperature, each.draft_temperature) == (0.7, 1.3)
        and each.way.endswith("optimum")
        and (f"drawn {word} " in each.way or each.way.startswith(word))
    )
    assert list(mine.mean) == pytest.approx(means["acceptance"].to_list(), abs=1e-10)


def test_order_of_the_ways(found: list[WayRates]) -> None:
    by = {(each.way, each.temperature, each.draft_temperature): each.mean for each in found}
    for t, d in {(each.temperature, each.draft_temperature) for each in found}:
        without, with_, greedy, match = (
            np.array(next(mean for (way, *at), mean in by.items() if word in way and at == [t, d]))
            for word in ("without", "with replacement", "greedy", "exact match")
        )
        assert (without >= with_ - 1e-12).all()
        assert (with_ >= match - 1e-12).all()
        assert without[0] == pytest.approx(with_[0], abs=1e-12)
        assert greedy[0] == pytest.approx(with_[0], abs=1e-12)


def test_batches_do_not_matter(cache: LogitsCache, found: list[WayRates]) -> None:
    whole = compare_laws(cache, LawGrid(*_fields(GRID), batch_rows=1000), FEW)
    for one, other in zip(found, whole, strict=True):
        assert one.mean == pytest.approx(other.mean, abs=1e-13)


def _fields(grid: LawGrid) -> tuple[object, ...]:
    return grid.num_drafts, grid.temperatures, grid.draft_temperatures, grid.draft


def test_table_and_figure(found: list[WayRates]) -> None:
    table = law_table(found, GRID.num_drafts)
    assert table.values == ("n = 1", "n = 2", "n = 4")
    assert len(table.rows) == len(found)
    best = [labels[2] for labels, cells in table.rows if cells[1].rank == 1]
    assert len(best) == 4
    pytest.importorskip("matplotlib")
    drawing = draw_laws(found, GRID.num_drafts)
    assert drawing.name == "draft-laws"
    assert len(drawing.figure.axes) == 4


def test_what_is_refused(cache: LogitsCache, tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingError, match="did you mean 'small'"):
        compare_laws(cache, LawGrid(draft="smal"), FEW)
    with pytest.raises(InvalidSettingError, match="`num_drafts`"):
        LawGrid(num_drafts=(65,))
    with pytest.raises(InvalidSettingError, match="`batch_rows` 0"):
        LawGrid(batch_rows=0)
    with pytest.raises(InvalidSettingError, match="temperature"):
        compare_laws(cache, LawGrid(temperatures=(-1.0,)), FEW)
    with pytest.raises(CacheError):
        compare_laws(LogitsCache.open(tmp_path / "none"), LawGrid(), FEW)


def test_the_command_writes_a_table_and_a_figure(
    cache: LogitsCache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("matplotlib")
    options = ("--num-drafts", "1-3", "--draft-temperature", "target,0.5", "--resamples", "200")
    arguments = ("laws", cache.path, *options, "--out", tmp_path / "laws")
    monkeypatch.setattr(sys, "argv", ["mdbound", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    printed = capsys.readouterr().out
    for name in ("draft-laws.csv", "draft-laws.tex", "draft-laws.md", "draft-laws.png"):
        assert (tmp_path / "laws" / name).stat().st_size > 0
        assert name in printed
