"""A random sample of solved rows, each with the distributions of its position and setting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mdbound.analysis.solving.results import BOUND, SETTING_COLUMNS, Results
from mdbound.analysis.solving.setting import SolveSetting
from mdbound.analysis.solving.setting_distributions import TargetRows
from mdbound.analysis.solving.solve_batch import solve_batch
from mdbound.analysis.verification.drawn_part import (
    drawn_places,
    refuse_another_capture,
    refuse_no_draw,
)
from mdbound.analysis.verification.plain_rows import plain_distribution
from mdbound.errors import CacheError
from mdbound.logits_cache.store.cache import LogitsCache

#: Columns that name the setting of a row, all but n.
_SETTING = tuple(name for name in SETTING_COLUMNS if name != "num_drafts")

#: Positions read at a time: few, because of a batch a row or two are drawn, and the rest is memory.
_BATCH_ROWS = 16


@dataclass(frozen=True)
class SolvedRow:
    """One row of the results with the problem that it claims to solve.

    Attributes:
        name: Position and setting, for messages.
        setting: The setting of the run.
        num_drafts: n.
        target: p, shape (V,).
        draft: q, shape (V,); under a law of several distributions a list of n such arrays.
        claimed: Every column of the row, as the file has it.
        again: The same row solved again.
    """

    name: str
    setting: SolveSetting
    num_drafts: int
    target: NDArray[np.float64]
    draft: Any
    claimed: Mapping[str, Any]
    again: Mapping[str, Any]

    @property
    def is_bound(self) -> bool:
        """Whether it is an optimum, and no scheme's rate."""
        return self.setting.scheme == BOUND

    @property
    def sampling(self) -> str:
        """Draft law."""
        return self.setting.sampling


def sample_rows(
    results: Results, cache: LogitsCache, count: int | None, seed: int
) -> Iterator[SolvedRow]:
    """Draw rows at random, unsolved ones too, and make their problems from the capture's logits.

    Args:
        results: What `solve` wrote.
        cache: The capture that it solved.
        count: Rows to draw, all of them when there are fewer; None for every row.
        seed: Seed of the draw.

    Yields:
        The rows, shard by shard.

    Raises:
        InvalidSettingError: `count` is below 1, or the results are of another capture.
        CacheError: The results hold no rows, or a position or setting that the capture or their
            own metadata lack.
    """
    refuse_no_draw(count)
    refuse_another_capture(results, cache)
    drawn = _draw(results, count, seed)
    settings = _settings_by_columns(results)
    for shard in cache.shards:
        place = cache.read_positions(shard).select("doc_id", "task", "position")
        place = place.with_row_index("row")
        here = drawn.join(place, on=["doc_id", "task", "position"], how="inner").sort("row")
        drawn = drawn.join(place, on=["doc_id", "task", "position"], how="anti")
        if here.height:
            yield from _with_distributions(here, cache, shard.index, settings)
    if drawn.height:
        first = drawn.row(0, named=True)
        raise CacheError(
            f"{results.path} holds document {first['doc_id']}, position {first['position']}, which "
            f"{cache.path} does not; solve the capture again"
        )


def _draw(results: Results, count: int | None, seed: int) -> pl.DataFrame:
    rows = results.frame.with_row_index("index")
    total = results.height()
    if not total:
        raise CacheError(f"{results.path} holds no rows; solve the capture again")
    wanted = pl.LazyFrame(
        {"index": drawn_places(total, count, seed)},
        schema={"index": rows.collect_schema()["index"]},
    )
    return rows.join(wanted, on="index", how="semi").collect()


def _settings_by_columns(results: Results) -> dict[tuple[Any, ...], SolveSetting]:
    """The settings of the run, by the columns that their rows show."""
    found = {}
    for values in results.provenance.settings:
        setting = SolveSetting.from_dict(values)
        columns = setting.columns()
        found[tuple(columns[name] for name in _SETTING)] = setting
    return found


def _with_distributions(
    rows: pl.DataFrame,
    cache: LogitsCache,
    shard: int,
    settings: dict[tuple[Any, ...], SolveSetting],
) -> Iterator[SolvedRow]:
    """Solved rows of one shard: its logits are read once, in order."""
    by_row = rows.partition_by("row", as_dict=True)
    for batch in cache.iter_batches(batch_rows=_BATCH_ROWS, shards=[shard]):
        for offset in range(batch.positions.height):
            of_position = by_row.get((batch.row + offset,))
            if of_position is None:
                continue
            logits = {name: values[offset : offset + 1] for name, values in batch.logits.items()}
            place = batch.positions[offset : offset + 1]
            for shown, of_setting in of_position.group_by(_SETTING, maintain_order=True):
                if shown not in settings:
                    raise CacheError(
                        f"the results hold a setting that their metadata lack: {shown}; solve again"
                    )
                yield from _solved_rows(of_setting, place, logits, settings[shown])


def _solved_rows(
    rows: pl.DataFrame, place: pl.DataFrame, logits: Mapping[str, Any], setting: SolveSetting
) -> Iterator[SolvedRow]:
    """The drawn rows of one position and setting, which is solved again once."""
    rows_of = TargetRows(logits, setting)
    target = plain_distribution(rows_of.logits[0], setting.warpers)
    pairs = zip(setting.drafts, setting.draft_warpers, strict=True)
    drafts = [plain_distribution(rows_of.restricted(name)[0], each) for name, each in pairs]
    solved = solve_batch(place, logits, [setting])
    again = {row["num_drafts"]: row for row in solved.iter_rows(named=True)}
    for values in rows.iter_rows(named=True):
        n = values["num_drafts"]
        if n not in again:
            raise CacheError(f"the results hold n = {n}, which their metadata lack; solve again")
        shown = {name: values[name] for name in _SETTING if values[name] is not None}
        where = f"document {values['doc_id']}, position {values['position']}, n {n}"
        yield SolvedRow(
            name=f"{where}, {', '.join(f'{name} {value}' for name, value in shown.items())}",
            setting=setting,
            num_drafts=n,
            target=target,
            draft=drafts[:n] if setting.has_several_distributions else drafts[0],
            claimed=values,
            again=again[n],
        )
