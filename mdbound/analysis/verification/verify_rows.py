"""A random sample of solved rows, each with the distributions of its position and setting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mdbound.analysis.solving.results import BOUND, Results
from mdbound.analysis.solving.setting import SolveSetting
from mdbound.analysis.solving.setting_distributions import DraftRows, TargetRows
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache

#: Columns that name the setting of a bound row, all but n.
_SETTING = (
    "sampling",
    "draft",
    "temperature",
    "draft_temperatures",
    "top_k",
    "top_p",
    "min_p",
    "vocabulary_size",
    "vocabulary_of",
)
_CLAIMED = ("acceptance", "error_bound", "target_mass", "containment")

#: Positions read at a time: few, because of a batch a row or two are drawn, and the rest is memory.
_BATCH_ROWS = 16


@dataclass(frozen=True)
class SolvedRow:
    """One row of the results with the problem that it claims to solve.

    Attributes:
        name: Position and setting, for messages.
        sampling: Draft law.
        num_drafts: n.
        target: p, shape (V,).
        draft: q, shape (V,); under a law of several distributions a list of n such arrays.
        acceptance: The claimed optimum.
        error_bound: Its stated error.
        target_mass: The claimed p(H*).
        containment: The claimed F(H*).
    """

    name: str
    sampling: str
    num_drafts: int
    target: NDArray[np.float64]
    draft: Any
    acceptance: float
    error_bound: float
    target_mass: float
    containment: float


def sample_rows(results: Results, cache: LogitsCache, count: int, seed: int) -> Iterator[SolvedRow]:
    """Draw solved bound rows at random, and make their distributions from the capture's logits.

    Args:
        results: What `solve` wrote.
        cache: The capture that it solved.
        count: Rows to draw; all of them when there are fewer.
        seed: Seed of the draw.

    Yields:
        The rows, shard by shard.

    Raises:
        InvalidSettingError: `count` is below 1, or the results are of another capture.
        CacheError: The results hold no solved bound, or a position or setting that the capture or
            their own metadata lack.
    """
    if count < 1:
        raise InvalidSettingError(f"`rows` {count}: give at least 1")
    if results.provenance.capture_identity != cache.manifest.identity():
        raise InvalidSettingError(
            f"{results.path} was solved from another capture than {cache.path}; give the capture "
            "that its `mdbound solve` command names"
        )
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


def _draw(results: Results, count: int, seed: int) -> pl.DataFrame:
    solved = results.frame.with_row_index("index").filter(
        (pl.col("scheme") == BOUND) & pl.col("acceptance").is_not_null()
    )
    index = solved.select("index").collect()["index"].to_numpy()
    if not len(index):
        raise CacheError(f"{results.path} holds no solved bound; solve the capture again")
    chosen = np.random.default_rng(seed).permutation(index)[:count]
    wanted = pl.LazyFrame(
        {"index": np.sort(chosen)}, schema={"index": solved.collect_schema()["index"]}
    )
    return solved.join(wanted, on="index", how="semi").collect()


def _settings_by_columns(results: Results) -> dict[tuple[Any, ...], SolveSetting]:
    """The bound settings of the run, by the columns that their rows show."""
    found = {}
    for values in results.provenance.settings:
        if values["scheme"] != BOUND:
            continue
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
            for values in of_position.iter_rows(named=True):
                key = tuple(values[name] for name in _SETTING)
                if key not in settings:
                    raise CacheError(
                        f"the results hold a setting that their metadata lack: {key}; solve again"
                    )
                yield _solved_row(values, settings[key], TargetRows(logits, settings[key]))


def _solved_row(values: dict[str, Any], setting: SolveSetting, target: TargetRows) -> SolvedRow:
    drafts = [rows[0] for rows in DraftRows(target, setting).distributions]
    n = values["num_drafts"]
    shown = {name: values[name] for name in _SETTING if values[name] is not None}
    place = f"document {values['doc_id']}, position {values['position']}, n {n}"
    return SolvedRow(
        name=f"{place}, {', '.join(f'{name} {value}' for name, value in shown.items())}",
        sampling=setting.sampling,
        num_drafts=n,
        target=target.distribution[0],
        draft=drafts[:n] if setting.has_several_distributions else drafts[0],
        **{name: float(values[name]) for name in _CLAIMED},
    )
