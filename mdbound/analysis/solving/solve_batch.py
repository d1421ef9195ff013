"""One batch of positions, solved at every setting, as tidy rows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mdbound import bounds
from mdbound.analysis.solving.results import BOUND, RESULT_SCHEMA
from mdbound.analysis.solving.scheme_settings import make_scheme
from mdbound.analysis.solving.setting import SolveSetting
from mdbound.analysis.solving.setting_distributions import (
    DraftRows,
    Logits,
    TargetRows,
    draft_key,
    target_key,
    to_array,
)
from mdbound.bounds.papers.two_drafts import MARGIN_TOLERANCE
from mdbound.bounds.problem.small_problems import counted_as

_ROW = "row of the batch"

BATCH_ROWS = 64
"""Rows that every batch counts as where numpy or kernels are chosen: a position has the same value
in any batch, the last one of a shard included. As many as batches have by default."""


def solve_batch(
    positions: pl.DataFrame,
    logits: Mapping[str, Logits],
    settings: Iterable[SolveSetting],
) -> pl.DataFrame:
    """Solve every position of a batch at every setting.

    Args:
        positions: Columns doc_id, task and position, one row per position, B rows.
        logits: Raw logits per model, (B, V), under `"target"` and the draft names. Bounds of
            tensors are computed on their device.
        settings: What to solve for.

    Returns:
        Columns of `RESULT_SCHEMA`; one row per position, setting and n, in that order.

    Raises:
        InvalidDistributionError: Logits that no distribution can be made of.
    """
    with counted_as(BATCH_ROWS):
        return _solve(positions, logits, settings)


def _solve(
    positions: pl.DataFrame,
    logits: Mapping[str, Logits],
    settings: Iterable[SolveSetting],
) -> pl.DataFrame:
    frames = []
    # Grouped, so that one target and the drafts of one setting are in memory at a time.
    for of_target in _grouped(settings, target_key):
        target = TargetRows(logits, of_target[0])
        for of_drafts in _grouped(of_target, draft_key):
            drafts = DraftRows(target, of_drafts[0])
            for setting in of_drafts:
                columns = _columns(target, drafts, setting)
                frames.append(_tidy(positions, setting, columns))
    # By position first, so that the file does not depend on the size of the batches.
    return pl.concat(frames).sort(_ROW, maintain_order=True).drop(_ROW)


def _grouped(
    settings: Iterable[SolveSetting], key: Callable[[SolveSetting], Hashable]
) -> list[list[SolveSetting]]:
    """Split by key, groups and members in order of appearance."""
    groups: dict[Hashable, list[SolveSetting]] = {}
    for setting in settings:
        groups.setdefault(key(setting), []).append(setting)
    return list(groups.values())


def _columns(target: TargetRows, drafts: DraftRows, setting: SolveSetting) -> dict[str, Any]:
    """Values of a setting, flat: all n of the first position, then of the next."""
    columns = dict.fromkeys(_VALUES, None)
    if setting.scheme == BOUND:
        bound = _bound_columns(target, drafts, setting)
        columns |= bound | _two_draft_columns(target, drafts, setting)
    else:
        columns |= _scheme_columns(target, drafts, setting)
    columns["target_entropy"] = np.repeat(target.entropy, len(setting.num_drafts))
    return columns


#: Columns that are not about position and setting.
_VALUES = tuple(RESULT_SCHEMA)[tuple(RESULT_SCHEMA).index("acceptance") :]


def _bound_columns(target: TargetRows, drafts: DraftRows, setting: SolveSetting) -> dict[str, Any]:
    several = setting.has_several_distributions
    curve = bounds.solve_curve_from_logits(
        target.logits,
        drafts.logits if several else drafts.logits[0],
        max(setting.num_drafts),
        setting.sampling,
        draft_temperature=(
            setting.draft_temperatures if several else setting.draft_temperatures[0]
        ),
        **setting.warpers.as_dict(),
        strict=False,
    )
    chosen = np.asarray(setting.num_drafts) - 1
    return {
        name: to_array(getattr(curve, name))[:, chosen].ravel()
        for name in (
            "acceptance",
            "subset_size",
            "target_mass",
            "draft_mass",
            "containment",
            "error_bound",
        )
    }


def _two_draft_columns(
    target: TargetRows, drafts: DraftRows, setting: SolveSetting
) -> dict[str, Any]:
    """Closed form and equals-one margin on the rows of n = 2 with replacement, NaN elsewhere.

    From sorted prefixes of the distributions (Khisti et al., Theorems 2 and 3), apart from the
    bound in the same row: the two agree up to the rounding of the softmax, or one is wrong.
    """
    if setting.sampling != "with_replacement" or 2 not in setting.num_drafts:
        return {}
    margins = bounds.equals_one_margin(target.distribution, drafts.distributions[0], 2)
    at_two = np.asarray(setting.num_drafts) == 2
    margin = np.where(at_two, np.reshape(margins, (-1, 1)), np.nan).ravel()
    return {"two_draft_acceptance": 1.0 + np.minimum(margin, 0.0), "equals_one_margin": margin}


def _scheme_columns(target: TargetRows, drafts: DraftRows, setting: SolveSetting) -> dict[str, Any]:
    """Rates of a scheme in both senses; of several distributions, n uses the first n."""
    scheme = make_scheme(setting)
    p, q = target.distribution, drafts.distributions
    if setting.has_several_distributions:
        rates = [scheme.acceptance(p, q[:n], n, strict=False) for n in setting.num_drafts]
    elif len(setting.num_drafts) == 1:
        rates = [scheme.acceptance(p, q[0], setting.num_drafts[0], strict=False)]
    else:
        curve = scheme.acceptance_curve(p, q[0], max(setting.num_drafts), strict=False)
        at = np.asarray(setting.num_drafts) - 1
        return {
            column: np.asarray(getattr(curve, name))[:, at].ravel()
            for column, name in _RATE_COLUMNS.items()
        }
    return {
        column: np.stack([np.asarray(getattr(rate, name)) for rate in rates], axis=1).ravel()
        for column, name in _RATE_COLUMNS.items()
    }


#: Result columns and what they are called in a scheme's rate.
_RATE_COLUMNS = {
    "acceptance": "membership",
    "accept": "accept",
    "standard_error": "standard_error",
}


def _tidy(positions: pl.DataFrame, setting: SolveSetting, columns: dict[str, Any]) -> pl.DataFrame:
    """Put values, position and setting side by side, with null where a value does not apply."""
    repeats = len(setting.num_drafts)
    rows = np.repeat(np.arange(positions.height), repeats)
    return (
        positions.select("doc_id", "task", "position")[rows]
        .with_columns(
            pl.Series(_ROW, rows),
            *(pl.lit(value).alias(name) for name, value in setting.columns().items()),
            pl.lit(setting.shared_draft_temperature).alias("draft_temperature"),
            pl.Series("num_drafts", np.tile(setting.num_drafts, positions.height)),
            *(_column(name, values) for name, values in columns.items()),
        )
        .with_columns((pl.col("equals_one_margin") >= -MARGIN_TOLERANCE).alias("equals_one"))
        .select(_ROW, *(pl.col(name).cast(dtype) for name, dtype in RESULT_SCHEMA.items()))
    )


def _column(name: str, values: NDArray[Any] | None) -> pl.Series | pl.Expr:
    """A column, null where it does not apply to the setting or holds NaN."""
    if values is None:
        return pl.lit(None, RESULT_SCHEMA[name]).alias(name)
    return pl.Series(name, values, nan_to_null=True)
