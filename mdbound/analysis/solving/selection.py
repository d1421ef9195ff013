"""Which positions of a capture are solved: tasks, and the first documents of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mdbound.errors import InvalidSettingError, refuse_unknown
from mdbound.logits_cache.store.cache import LogitsCache

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Selection:
    """Part of a capture.

    Attributes:
        tasks: Tasks to solve; empty means all.
        limit_per_task: Documents to solve of each task, the first ones, or None for all.

    Example:
        >>> Selection(limit_per_task=3).as_dict()
        {'limit_per_task': 3}
    """

    tasks: tuple[str, ...] = ()
    limit_per_task: int | None = None

    def __post_init__(self) -> None:
        if self.limit_per_task is not None and self.limit_per_task < 1:
            raise InvalidSettingError(f"`limit_per_task` {self.limit_per_task}: give at least 1")

    def as_dict(self) -> dict[str, Any]:
        """Return what is restricted, as JSON-ready values; empty when nothing is."""
        values: dict[str, Any] = {"tasks": list(self.tasks)} if self.tasks else {}
        if self.limit_per_task is not None:
            values["limit_per_task"] = self.limit_per_task
        return values

    def masks(self, cache: LogitsCache) -> Mapping[int, Mask]:
        """Mark the positions of each shard, leaving out shards without any.

        Args:
            cache: The capture.

        Returns:
            Shard index to a mask (rows of the shard,).

        Raises:
            InvalidSettingError: The capture has no such task.
            CacheError: A shard is missing or damaged.
        """
        if not self.as_dict():
            return {shard.index: np.ones(shard.rows, np.bool_) for shard in cache.shards}
        documents = pl.concat(
            cache.read_positions(shard)
            .select("task", "doc_id")
            .with_columns(pl.lit(shard.index).alias("shard"))
            for shard in cache.shards
        )
        self.chosen(documents["task"].unique(maintain_order=True).to_list())
        chosen = documents.select("shard", self._wanted().alias("wanted"))
        masks = {
            int(key[0]): rows["wanted"].to_numpy()
            for key, rows in chosen.partition_by("shard", as_dict=True).items()
        }
        return {shard: mask for shard, mask in masks.items() if mask.any()}

    def _wanted(self) -> pl.Expr:
        wanted = pl.col("task").is_in(list(self.tasks)) if self.tasks else pl.lit(True)
        if self.limit_per_task is not None:
            # Documents are numbered by their first appearance in the task.
            number = pl.col("doc_id").rle_id().over("task")
            wanted &= number < self.limit_per_task
        return wanted

    def chosen(self, known: Sequence[str]) -> tuple[str, ...]:
        """The tasks selected, in the order of those known.

        Raises:
            InvalidSettingError: A task is not known; the nearest is suggested.

        Example:
            >>> Selection(("qa",)).chosen(["chat", "qa"])
            ('qa',)
        """
        refuse_unknown(self.tasks, known, "`tasks`")
        return tuple(task for task in known if not self.tasks or task in self.tasks)


def capture_tasks(cache: LogitsCache) -> tuple[str, ...]:
    """Tasks of a capture, in their order of appearance.

    Raises:
        CacheError: A shard is missing or damaged.
    """
    tasks = (
        cache.read_positions(shard)["task"].unique(maintain_order=True) for shard in cache.shards
    )
    return tuple(dict.fromkeys(name for names in tasks for name in names))
