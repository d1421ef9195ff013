"""Drafts against one of them on the same prompts: quantised, pruned, distilled, or other models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from mdbound.analysis.paths.path_results import RULE_COLUMNS
from mdbound.analysis.paths.path_tables import NAMES, PathReport, label_of
from mdbound.analysis.solving.results import Results
from mdbound.analysis.statistics.bootstrap import Bootstrap, ratio_intervals
from mdbound.analysis.tables.files import write_table
from mdbound.analysis.tables.notes import interval_note, provenance_notes
from mdbound.analysis.tables.table import Interval, Row, Table
from mdbound.errors import InvalidSettingError, refuse_unknown

_KEYS = ["task", "doc_id"]

#: What has to be the same for two drafts to be compared.
_SAME = ["temperature", "top_k", "top_p", "min_p", "draft_temperature", *RULE_COLUMNS]


@dataclass(frozen=True)
class PairedDrafts:
    """Tokens per call of one draft less those of another, on the prompts that both have.

    Attributes:
        difference: Mean over prompts.
        wins: Share of the prompts where the draft is ahead, of those where the two differ.
        prompts: Prompts that both have.
        needed: Prompts after which the mean's interval is as narrow as was asked for.
    """

    difference: Interval
    wins: Interval
    prompts: int
    needed: int


def paired_drafts(own: np.ndarray, base: np.ndarray, within: float, how: Bootstrap) -> PairedDrafts:
    """Compare two drafts on the same prompts.

    Args:
        own: Tokens per call of each prompt, shape (D,).
        base: Those of the other draft.
        within: Half the width of the interval that `needed` is for.
        how: How the interval is made.

    Raises:
        InvalidSettingError: No prompts, or `within` not above 0.

    Example:
        >>> found = paired_drafts(np.array([2.0, 3.0]), np.array([1.5, 3.5]), 0.1, Bootstrap())
        >>> found.difference.mean, found.wins.mean, found.needed
        (0.0, 0.5, 193)
    """
    if not within > 0.0:
        raise InvalidSettingError(f"`within` {within}: give a number of tokens per call above 0")
    if not len(own):
        raise InvalidSettingError("the two drafts have no prompts in common")
    differences = own - base
    ones = np.ones((1, len(own)))
    mean, low, high = ratio_intervals(
        differences[None, :], ones, ones > 0.0, how, clip_shares=False
    )
    from scipy.stats import binomtest, norm  # heavy, and only comparisons of drafts need it

    decided = int((differences != 0.0).sum())
    wins = Interval(None)
    if decided:
        found = binomtest(int((differences > 0.0).sum()), decided)
        ends = found.proportion_ci(how.confidence, method="wilson")
        wins = Interval(found.statistic, ends.low, ends.high)
    spread = float(differences.std(ddof=1)) if len(own) > 1 else math.nan
    quantile = float(norm.ppf(0.5 + how.confidence / 2.0))
    needed = 0 if math.isnan(spread) else math.ceil((quantile * spread / within) ** 2)
    return PairedDrafts(
        Interval.of(float(mean[0]), float(low[0]), float(high[0])), wins, len(own), needed
    )


def compare_drafts(
    results: Results,
    baseline: str,
    out: Path | str | None = None,
    *,
    within: float = 0.05,
    bootstrap: Bootstrap | None = None,
    command: str = "",
) -> PathReport:
    """Tokens per call of every draft less those of one, prompt by prompt.

    Args:
        results: From `open_paths`, of two drafts or more.
        baseline: The draft that the others are compared with.
        out: Folder for `drafts` as CSV, LaTeX and Markdown; None writes nothing.
        within: Half the width of the interval for which the number of prompts is said.
        bootstrap: How intervals are made, over documents.
        command: Command line, noted under the table.

    Raises:
        InvalidSettingError: No such draft, or none beside it.
        OutputError: The folder cannot be written; files that were there stay.
    """
    how = bootstrap or Bootstrap()
    rows = results.frame.filter(pl.col("calls") > 0.0).collect()
    drafts = rows["draft"].unique(maintain_order=True).to_list()
    refuse_unknown([baseline], drafts, "`against`")
    if len(drafts) < 2:
        raise InvalidSettingError(f"{results.path} holds draft {baseline} alone; add another")
    notes = [
        "Differences are paired: each prompt has its tokens per call under both drafts. Win rates "
        "leave out prompts where the two are equal; their intervals are Wilson's.",
        interval_note(how),
        *provenance_notes(results.provenance, command),
    ]
    table = _table(rows, baseline, within, how, notes)
    files = [] if out is None else write_table(table, Path(out), "drafts", [results.path])
    return PathReport(table, tuple(files))


def _table(
    rows: pl.DataFrame, baseline: str, within: float, how: Bootstrap, notes: Sequence[str]
) -> Table:
    varying = [name for name in _SAME if rows[name].n_unique() > 1 and name != "scheme"]
    labels = ["draft", "scheme", *varying, "draft_length"]
    per_prompt = rows.group_by(*_KEYS, "draft", *_SAME, "draft_length", maintain_order=True).agg(
        (pl.col("call_tokens").sum() / pl.col("calls").sum()).alias("per_call")
    )
    base = per_prompt.filter(pl.col("draft") == baseline).drop("draft")
    others = per_prompt.filter(pl.col("draft") != baseline)
    pairs = others.join(
        base.rename({"per_call": "base"}), on=[*_KEYS, *_SAME, "draft_length"], nulls_equal=True
    )
    found: list[Row] = []
    order = ["draft", *_SAME, "draft_length"]
    for group in pairs.partition_by(order, maintain_order=True):
        first = group.row(0, named=True)
        paired = paired_drafts(group["per_call"].to_numpy(), group["base"].to_numpy(), within, how)
        cells = (
            paired.difference,
            paired.wins,
            Interval(float(paired.prompts)),
            Interval(float(paired.needed) if paired.prompts > 1 else None),
        )
        found.append((tuple(label_of(name, first[name]) for name in labels), cells))
    return Table(
        caption=f"Tokens per target call of each draft less those of {baseline}, over prompts.",
        labels=tuple(NAMES.get(name, name) for name in labels),
        values=("difference", "win rate", "prompts", f"prompts for +-{within:g}"),
        rows=tuple(found),
        notes=tuple(notes),
    )
