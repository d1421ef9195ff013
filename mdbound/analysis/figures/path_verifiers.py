"""Figures of verifiers of K paths: accepted length against K, and where which one wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import polars as pl

from mdbound.analysis.figures.drawing import Drawing
from mdbound.analysis.figures.held import held_words
from mdbound.analysis.figures.layout import arrange, new_figure
from mdbound.analysis.figures.style import (
    BAND_OPACITY,
    INK,
    PALETTE,
    LineStyle,
    figure_settings,
)
from mdbound.analysis.solving.results import Results
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.statistics.task_means import ALL_TASKS, task_means
from mdbound.analysis.trees.tree_results import LAW_COLUMNS
from mdbound.analysis.trees.tree_tables import expected_lengths
from mdbound.errors import InvalidSettingError

#: What is drawn of each verifier and bound, in the order of the legend.
_STYLES: Mapping[str, tuple[str, LineStyle]] = MappingProxyType(
    {
        "path_bound": ("path bound", LineStyle(PALETTE["grey"], "--", "", width=1.6)),
        "depth_bound": ("bound by depth", LineStyle(PALETTE["grey"], ":", "")),
        "quantile_recursive": ("quantile, recursive", LineStyle(PALETTE["blue"], "--", "P")),
        "quantile": ("quantile", LineStyle(PALETTE["blue"], "-", "o", width=1.6)),
        "traversal": ("traversal", LineStyle(PALETTE["vermillion"], "-", "^")),
        "optimal_per_node": ("optimal per node", LineStyle(PALETTE["green"], "-", "D")),
        "gbv": ("GBV", LineStyle(PALETTE["orange"], "-", "s")),
        "rrs_with_replacement": ("RRS", LineStyle(PALETTE["sky"], "-", "v")),
        "block_first_path": ("block, first path", LineStyle(INK, "-", "x")),
    }
)

#: What the others are compared with where contexts are told apart.
BASELINE = "gbv"

#: Verifiers that are compared with it.
_COMPARED = ("quantile", "traversal", "optimal_per_node")

#: Groups of contexts of equal number.
BINS = 5


def draw_paths_gap(results: Results, bootstrap: Bootstrap) -> Drawing:
    """E tau against the number of paths for every verifier, and the bounds above.

    Args:
        results: From `open_trees`, of i.i.d. paths of one draft at one setting; that of the path
            bound beside it.
        bootstrap: How bands are made.

    Raises:
        InvalidSettingError: Several drafts or settings, or no two numbers of paths of one length.
        MissingDependencyError: matplotlib is not installed.
    """
    means = _pooled(_of_one_law(expected_lengths(results, bootstrap), results))
    means = means.filter(pl.col("num_paths").is_not_null())
    counts = means.group_by("depth").agg(pl.col("num_paths").n_unique()).sort("depth")
    several = counts.filter(pl.col("num_paths") > 1)
    if several.is_empty():
        raise InvalidSettingError(
            f"{results.path} holds no length with two numbers of paths: give `shapes` such as "
            "1:8,2:8,4:8"
        )
    length = several["depth"][-1]
    rows = means.filter(pl.col("depth") == length)
    with figure_settings():
        figure, (axes,) = new_figure()
        for name, (label, style) in _STYLES.items():
            line = rows.filter(pl.col("verifier") == name).sort("num_paths")
            if line.is_empty():
                continue
            across = line["num_paths"].to_numpy()
            low, high = (line[each].to_numpy() for each in ("low", "high"))
            axes.fill_between(across, low, high, color=style.colour, alpha=0.5 * BAND_OPACITY)
            axes.plot(
                across,
                line["mean"].to_numpy(),
                color=style.colour,
                linestyle=style.dashes,
                marker=style.marker,
                linewidth=style.width,
                label=label,
            )
        axes.set_xticks(sorted(rows["num_paths"].unique().to_list()))
        axes.set_xlabel("paths $K$")
        axes.set_ylabel(r"accepted length $E\,\tau$")
        arrange(figure, [axes], panel_height=2.2, held=f"{held_words(results)} L = {length}.")
    return Drawing(
        "paths-gap",
        figure,
        f"Accepted length of verifiers of K paths of {length} tokens, a mean over positions, and "
        "what no verifier exceeds (by depth: of either class; the path bound: of those that leave "
        f"a fresh target behind). Bands: {bootstrap.confidence:.0%} bootstrap over documents.",
    )


def draw_paths_where(results: Results, bootstrap: Bootstrap) -> Drawing:
    """Accepted length less that of GBV, by entropy and overlap of the context and by depth.

    Args:
        results: From `open_trees`, of i.i.d. paths of one draft at one setting. The largest shape
            is drawn.
        bootstrap: How bands are made.

    Raises:
        InvalidSettingError: Several drafts or settings, or GBV and another are not there.
        MissingDependencyError: matplotlib is not installed.
    """
    frame = _of_one_law(results.frame.filter(~pl.col("sampled")).collect(), results)
    frame = frame.filter(pl.col("num_paths").is_not_null() & pl.col("tail").is_not_null())
    largest = frame.select("num_paths", "depth").unique().sort("depth", "num_paths").tail(1)
    rows = frame.join(largest, on=["num_paths", "depth"])
    compared = [name for name in _COMPARED if (rows["verifier"] == name).any()]
    if not compared or not (rows["verifier"] == BASELINE).any():
        raise InvalidSettingError(
            f"{results.path} holds no `verifiers` {BASELINE} and {' or '.join(_COMPARED)} of "
            "paths to compare"
        )
    differences = _less_baseline(rows, compared)
    panels = (
        ("entropy of the target, nats", _binned(differences, "target_entropy", bootstrap)),
        ("overlap of target and draft", _binned(differences, "overlap", bootstrap)),
        ("depth $d$", _by_depth(differences, bootstrap)),
    )
    with figure_settings():
        figure, axes = new_figure(len(panels))
        for each, (label, means) in zip(axes, panels, strict=True):
            each.axhline(0.0, color=INK, linewidth=0.8)
            for name in compared:
                title, style = _STYLES[name]
                line = means.filter(pl.col("verifier") == name).sort("at")
                at = line["at"].to_numpy()
                low, high = (line[end].to_numpy() for end in ("low", "high"))
                each.fill_between(at, low, high, color=style.colour, alpha=BAND_OPACITY)
                each.plot(
                    at,
                    line["mean"].to_numpy(),
                    color=style.colour,
                    linestyle=style.dashes,
                    marker=style.marker,
                    linewidth=style.width,
                    label=title,
                )
            each.set_xlabel(label)
            each.set_ylabel(r"$E\,\tau$ less GBV")
        axes[-1].set_ylabel(r"$P(\tau\geq d)$ less GBV")
        shape = largest.row(0, named=True)
        contexts = differences.select("doc_id", "position", "number").n_unique()
        size = f"K = {shape['num_paths']}, L = {shape['depth']}; {BINS} bins of"
        bins = f"{contexts // BINS} to {-(-contexts // BINS)} contexts each."
        arrange(figure, axes, held=f"{held_words(results)} {size} {bins}")
    return Drawing(
        "paths-where",
        figure,
        f"What verifiers of {shape['num_paths']} paths of {shape['depth']} tokens accept beyond "
        f"GBV on the same paths: contexts in {BINS} groups of equal number, by entropy of the "
        "target and by sum of min(p, q) there, each at its mean; and by depth. Bands: "
        f"{bootstrap.confidence:.0%} bootstrap over documents.",
    )


def _of_one_law(frame: pl.DataFrame, results: Results) -> pl.DataFrame:
    if frame.select(LAW_COLUMNS).unique().height > 1:
        raise InvalidSettingError(
            f"{results.path} holds several drafts or temperatures; a figure shows one: give "
            "`drafts` one value"
        )
    return frame


def _pooled(means: pl.DataFrame) -> pl.DataFrame:
    return means.filter(pl.col("task") == means["task"][0])


def _less_baseline(rows: pl.DataFrame, compared: Sequence[str]) -> pl.DataFrame:
    """Differences of accepted lengths and of tails, context by context."""
    keys = ["doc_id", "position", "number"]
    base = rows.filter(pl.col("verifier") == BASELINE).select(
        *keys, pl.col("accepted").alias("base"), pl.col("tail").alias("base_tail")
    )
    joined = rows.filter(pl.col("verifier").is_in(compared)).join(base, on=keys)
    return joined.with_columns(
        (pl.col("accepted") - pl.col("base")).alias("gain"),
        (pl.col("tail") - pl.col("base_tail")).alias("gains"),
    )


def _binned(differences: pl.DataFrame, by: str, bootstrap: Bootstrap) -> pl.DataFrame:
    """Means of the gain in groups of contexts, `at` the mean of what they are grouped by."""
    ends = np.quantile(differences[by].to_numpy(), np.linspace(0.0, 1.0, BINS + 1)[1:-1])
    bins = pl.Series("bin", np.searchsorted(ends, differences[by].to_numpy()))
    grouped = differences.with_columns(bins)
    means = task_means(grouped.lazy(), "gain", ["verifier", "bin"], bootstrap)
    places = grouped.group_by("bin").agg(pl.col(by).mean().alias("at"))
    return _all_tasks(means).join(places, on="bin")


def _by_depth(differences: pl.DataFrame, bootstrap: Bootstrap) -> pl.DataFrame:
    count = differences["depth"][0]
    long = differences.with_columns(pl.lit(list(range(1, count + 1))).alias("at"))
    long = long.explode("gains", "at")
    return _all_tasks(task_means(long.lazy(), "gains", ["verifier", "at"], bootstrap))


def _all_tasks(means: pl.DataFrame) -> pl.DataFrame:
    several = (means["task"] == ALL_TASKS).any()
    return means.filter(pl.col("task") == (ALL_TASKS if several else means["task"][0]))
