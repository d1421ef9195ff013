"""One batch of positions, solved at every setting, as tidy rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import entr

from mdbound import bounds
from mdbound.analysis.results import BOUND, RESULT_SCHEMA
from mdbound.analysis.settings import SolveSetting
from mdbound.bounds.two_drafts import MARGIN_TOLERANCE

Floats = NDArray[np.float64]

_ROW = "row of the batch"


def solve_batch(
    positions: pl.DataFrame,
    logits: Mapping[str, NDArray[np.float32]],
    settings: Iterable[SolveSetting],
) -> pl.DataFrame:
    """Solve every position of a batch at every setting.

    Args:
        positions: Columns doc_id, task and position, one row per position, B rows.
        logits: Raw logits per model, (B, V), under `"target"` and the draft names.
        settings: What to solve for.

    Returns:
        Columns of `RESULT_SCHEMA`; one row per position, setting and n, in that order.

    Raises:
        InvalidDistributionError: Logits that no distribution can be made of.
    """
    frames = []
    # Settings that share the target distribution follow each other, so that one is held at a time.
    for _, group in groupby(sorted(settings, key=_target_key), key=_target_key):
        members = list(group)
        target = _target_distribution(logits["target"], members[0])
        entropy = entr(target).sum(axis=-1)
        frames += [_solve_setting(positions, logits, each, target, entropy) for each in members]
    # By position first, so that the file does not depend on the size of the batches.
    return pl.concat(frames).sort(_ROW, maintain_order=True).drop(_ROW)


def _target_key(setting: SolveSetting) -> tuple[float, int, float]:
    return setting.temperature, setting.top_k or 0, setting.top_p or 0.0


def _target_distribution(target_logits: NDArray[np.float32], setting: SolveSetting) -> Floats:
    return bounds.distribution_from_logits(
        target_logits, setting.temperature, setting.top_k, setting.top_p
    )


def _solve_setting(
    positions: pl.DataFrame,
    logits: Mapping[str, NDArray[np.float32]],
    setting: SolveSetting,
    target: Floats,
    entropy: Floats,
) -> pl.DataFrame:
    several = setting.sampling == "independent"
    drafts = [logits[name] for name in setting.drafts]
    curve = bounds.solve_curve_from_logits(
        logits["target"],
        drafts if several else drafts[0],
        max(setting.num_drafts),
        setting.sampling,
        temperature=setting.temperature,
        draft_temperature=(
            setting.draft_temperatures if several else setting.draft_temperatures[0]
        ),
        top_k=setting.top_k,
        top_p=setting.top_p,
        strict=False,
    )
    chosen = np.asarray(setting.num_drafts) - 1
    columns: dict[str, Any] = {
        name: getattr(curve, name)[:, chosen].ravel()
        for name in (
            "acceptance",
            "subset_size",
            "target_mass",
            "draft_mass",
            "containment",
            "error_bound",
        )
    }
    columns |= _two_draft_columns(logits, setting, target)
    columns["target_entropy"] = np.repeat(entropy, len(chosen))
    return _tidy(positions, setting, columns)


def _two_draft_columns(
    logits: Mapping[str, NDArray[np.float32]], setting: SolveSetting, target: Floats
) -> dict[str, Any]:
    """Closed form and equals-one margin on the rows of n = 2 with replacement, NaN elsewhere."""
    names = ("two_draft_acceptance", "equals_one_margin")
    shape = (len(target), len(setting.num_drafts))
    columns = {name: np.full(shape, np.nan) for name in names}
    if setting.sampling == "with_replacement" and 2 in setting.num_drafts:
        draft = bounds.distribution_from_logits(
            logits[setting.drafts[0]],
            setting.draft_temperatures[0],
            setting.top_k,
            setting.top_p,
        )
        at_two = setting.num_drafts.index(2)
        columns[names[0]][:, at_two] = bounds.two_draft_acceptance(target, draft)
        columns[names[1]][:, at_two] = bounds.equals_one_margin(target, draft)
    return {name: values.ravel() for name, values in columns.items()}


def _tidy(positions: pl.DataFrame, setting: SolveSetting, columns: dict[str, Any]) -> pl.DataFrame:
    """Put values, position and setting side by side, with null where a value does not apply."""
    repeats = len(setting.num_drafts)
    rows = np.repeat(np.arange(positions.height), repeats)
    distinct = set(setting.draft_temperatures)
    return (
        positions.select("doc_id", "task", "position")[rows]
        .with_columns(
            pl.Series(_ROW, rows),
            pl.lit(BOUND).alias("scheme"),
            pl.lit(setting.sampling).alias("sampling"),
            pl.lit(setting.draft_label).alias("draft"),
            pl.lit(setting.temperature).alias("temperature"),
            pl.lit(min(distinct) if len(distinct) == 1 else None).alias("draft_temperature"),
            pl.lit(setting.draft_temperatures_label).alias("draft_temperatures"),
            pl.lit(setting.top_k).alias("top_k"),
            pl.lit(setting.top_p).alias("top_p"),
            pl.Series("num_drafts", np.tile(setting.num_drafts, positions.height)),
            *(pl.Series(name, values, nan_to_null=True) for name, values in columns.items()),
        )
        .with_columns((pl.col("equals_one_margin") >= -MARGIN_TOLERANCE).alias("equals_one"))
        .select(_ROW, *(pl.col(name).cast(dtype) for name, dtype in RESULT_SCHEMA.items()))
    )
