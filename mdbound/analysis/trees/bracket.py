"""The bound by depth as it is reported: on each half of the documents, thresholds from the other.

Chosen and reported on the same contexts, the smallest of many noisy bounds would be too small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mdbound.analysis.solving.results import Results
from mdbound.analysis.statistics.halves import halves
from mdbound.analysis.trees.tree_grid import DEPTH_BOUND
from mdbound.analysis.trees.tree_results import LAW_COLUMNS, TREE_COLUMNS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CrossedDepthBound:
    """Bound by depth of every context.

    Attributes:
        rows: With the columns of the results; `accepted` is the bound at each context, to be
            averaged, and `tail` its terms by depth.
        halves: Documents in each half.
    """

    rows: pl.DataFrame
    halves: tuple[int, int]


def crossed_depth_bound(results: Results) -> CrossedDepthBound | None:
    """The bound by depth of a file of `mdbound trees`.

    Args:
        results: From `open_trees`.

    Returns:
        None where the file holds no terms of it, or fewer than two documents.
    """
    rows = results.frame.filter(pl.col("verifier") == DEPTH_BOUND).collect()
    if rows["doc_id"].n_unique() < 2:
        return None
    first, second = halves(rows["doc_id"])
    found = []
    for group in rows.partition_by(*TREE_COLUMNS, *LAW_COLUMNS, maintain_order=True):
        terms = np.array(group["bound_terms"].to_list())
        in_first = group["doc_id"].is_in(first).to_numpy()
        if in_first.all() or not in_first.any():
            return None
        values: Floats = np.empty(terms.shape[:2])
        for own in (in_first, ~in_first):
            chosen = terms[~own].mean(axis=0).argmin(axis=1)
            values[own] = terms[own][:, np.arange(len(chosen)), chosen]
        found.append(
            group.with_columns(
                pl.Series("accepted", np.asarray(values.sum(axis=1))),
                pl.Series("tail", values.tolist(), pl.List(pl.Float64)),
            )
        )
    return CrossedDepthBound(pl.concat(found), (len(first), len(second)))
