"""Gaps of verifiers to both optima over series of random tiny models, as one frame and table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from mdbound import trees
from mdbound.analysis.tables.table import Interval, Row, Table
from mdbound.errors import InvalidSettingError
from mdbound.trees.optima.gaps import InstanceValues, gaps_of, instance_values
from mdbound.trees.seeded_models import seeded_pair

#: Verifiers of the series, from the one that knows least.
VERIFIERS = (
    "nss",
    "first_draft",
    "rrs_with_replacement",
    "optimal_per_node",
    "top_down_optimum",
    "block_first_path",
    "gbv",
    "quantile",
    "traversal",
)


@dataclass(frozen=True)
class Series:
    """Random models of one kind and size.

    Attributes:
        generator: Of `trees.seeded_models`.
        vocab_size: V.
        length: L.
        num_paths: K.
    """

    generator: str
    vocab_size: int
    length: int
    num_paths: int

    @property
    def title(self) -> str:
        """The size in words."""
        return f"{self.generator}, V={self.vocab_size}, L={self.length}, K={self.num_paths}"


#: Standard errors from a mean to the end of its 95 % interval.
NORMAL_95 = 1.96

#: The sizes at which every verifier is enumerated in a second or two a hundred instances.
SERIES = (
    Series("uniform", 2, 2, 2),
    Series("uniform", 2, 3, 2),
    Series("uniform", 3, 2, 2),
    Series("uniform", 2, 2, 3),
    Series("language", 3, 2, 2),
    Series("language", 2, 3, 3),
)


def gap_series(
    instances: int,
    seed: int,
    series: Sequence[Series] = SERIES,
    on_progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Mean gaps to the optimum of one call.

    Args:
        instances: Pairs of models of each kind and size.
        seed: Of all of them.
        series: Kinds and sizes.
        on_progress: Called with instances done and their total.

    Returns:
        Columns of `Series`, `instances`, `optimum` (mean), `value` (a verifier, `"carried"` or
        `"depth_bound"`), `gap` (negative above the optimum), `standard_error`, `largest`.

    Raises:
        InvalidSettingError: Fewer than two instances, or a seed below 0.

    Example:
        >>> frame = gap_series(2, 0, [Series("uniform", 2, 1, 1)])
        >>> abs(frame.filter(pl.col("value") == "block_first_path")["gap"].item()) < 1e-9
        True
    """
    if instances < 2 or seed < 0:
        raise InvalidSettingError(
            f"`instances` {instances}, `seed` {seed}: give 2 or more instances, a seed of 0 or more"
        )
    rules = [trees.verifier(name) for name in VERIFIERS]
    rows = []
    total = instances * len(series)
    for number, one in enumerate(series):
        law = trees.Paths(one.num_paths, one.length)
        values: list[InstanceValues] = []
        for instance in range(instances):
            pair = seeded_pair(one.generator, one.vocab_size, one.length, seed, instance)
            values.append(instance_values(*pair, law, rules))
            if on_progress is not None:
                on_progress(number * instances + instance + 1, total)
        optimum = float(np.mean([each.one_call for each in values]))
        for name, gap in gaps_of(values).items():
            rows.append(
                {
                    **vars(one),
                    "instances": instances,
                    "optimum": optimum,
                    "value": name,
                    "gap": gap.mean,
                    "standard_error": gap.standard_error,
                    "largest": gap.largest,
                }
            )
    return pl.DataFrame(rows)


def gap_table(frame: pl.DataFrame, seed: int) -> Table:
    """Gaps with standard errors, sizes across.

    Args:
        frame: From `gap_series`.
        seed: For the caption.
    """
    sizes = frame.select("generator", "vocab_size", "length", "num_paths").unique(
        maintain_order=True
    )
    across = [Series(*row) for row in sizes.rows()]
    cells: dict[tuple[str, Series], Interval] = {}
    for row in frame.iter_rows(named=True):
        size = Series(row["generator"], row["vocab_size"], row["length"], row["num_paths"])
        error = NORMAL_95 * row["standard_error"]
        cells[row["value"], size] = Interval(row["gap"], row["gap"] - error, row["gap"] + error)
        cells["optimum", size] = Interval(row["optimum"])
    rows: list[Row] = [
        ((title_of_value(name),), tuple(cells[name, size] for size in across))
        for name in dict.fromkeys(["optimum", *frame["value"]])
    ]
    return Table(
        caption="Optimum over all verifiers that leave a fresh target behind, and what is missing "
        f"to it, with intervals over models ({frame['instances'][0]} random ones of each "
        f"kind, seed {seed}).",
        labels=("E tau",),
        values=tuple(size.title for size in across),
        rows=tuple(rows),
        notes=(
            "uniform: integer weights 0..6 a row, at least one positive; language: logits "
            "N(0, 1.5), the draft's with noise N(0, 1); pair: the captured models on the likeliest "
            "draft tokens of each node, documents being the instances. Negative gaps are above the "
            "optimum of one call: verifiers may carry state there, and the bound by depth is no "
            "verifier's.",
        ),
    )


def title_of_value(name: str) -> str:
    """What tables and figures call a row of the series.

    Example:
        >>> title_of_value("carried"), title_of_value("traversal")
        ('optimum with carried state', 'traversal verification')
    """
    titles = {
        "optimum": "optimum of one call",
        "carried": "optimum with carried state",
        "depth_bound": "bound by depth",
    }
    return titles[name] if name in titles else trees.verifier(name).title
