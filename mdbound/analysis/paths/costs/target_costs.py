"""What a target call costs by the tokens it verifies, and by batch: measured, or taken as flat."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mdbound.errors import InvalidSettingError, TextSourceError

#: Largest file that is read, in bytes; tables have a few dozen lines.
_LARGEST_FILE = 2**20

#: `batch` of a table without that column.
NO_BATCH = 0


@dataclass(frozen=True)
class TargetCosts:
    """Cost of a target call relative to one of a single token, in the same batch.

    Attributes:
        by_batch: For each batch size the cost by the number of tokens verified, 1 among them.
            Empty is flat: every call costs 1.
    """

    by_batch: Mapping[int, Mapping[int, float]] = field(default_factory=dict)

    @property
    def batches(self) -> tuple[int, ...]:
        """Batch sizes, ascending; `NO_BATCH` alone where costs do not depend on it."""
        return tuple(sorted(self.by_batch)) or (NO_BATCH,)

    def of(self, batch: int, tokens: int) -> float:
        """Cost of a call that verifies so many tokens, over that of one.

        Raises:
            InvalidSettingError: The table has no such entry.

        Example:
            >>> TargetCosts({1: {1: 2.0, 5: 3.0}}).of(1, 5), TargetCosts().of(0, 5)
            (1.5, 1.0)
        """
        if not self.by_batch:
            return 1.0
        costs = self.by_batch[batch]
        if tokens not in costs or 1 not in costs:
            missing = tokens if 1 in costs else 1
            raise InvalidSettingError(
                f"`target_cost` has no cost of a call with {missing} tokens in a batch of {batch}: "
                "measure 1 and L + 1 tokens for every draft length L"
            )
        return costs[tokens] / costs[1]


def read_target_costs(path: Path | str) -> TargetCosts:
    """Read a CSV file with columns `tokens`, `cost` and, if it matters, `batch`.

    Args:
        path: The file. Costs are in any unit, such as milliseconds.

    Raises:
        TextSourceError: It cannot be read, or a line is not of that kind; names the line.
    """
    path = Path(path)
    by_batch: dict[int, dict[int, float]] = {}
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise TextSourceError(f"{path} is larger than {_LARGEST_FILE:,} bytes; give a table")
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = set(reader.fieldnames or ())
            if not {"tokens", "cost"} <= names <= {"tokens", "cost", "batch"}:
                raise TextSourceError(f"{path}: give the columns tokens, cost and, if any, batch")
            for number, line in enumerate(reader, start=2):
                batch, tokens, cost = _entry(line, path, number)
                costs = by_batch.setdefault(batch, {})
                if tokens in costs:
                    raise TextSourceError(f"{path}, line {number}: {tokens} tokens stand twice")
                costs[tokens] = cost
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TextSourceError(f"{path} cannot be read as CSV ({error})") from error
    if not by_batch:
        raise TextSourceError(f"{path} holds no costs")
    return TargetCosts(by_batch)


def _entry(line: Mapping[str, str | None], path: Path, number: int) -> tuple[int, int, float]:
    try:
        batch = int(line.get("batch") or NO_BATCH)
        tokens, cost = int(line["tokens"] or ""), float(line["cost"] or "")
    except (TypeError, ValueError):
        raise TextSourceError(f"{path}, line {number}: not all of it are numbers") from None
    if batch < 0 or tokens < 1 or not (math.isfinite(cost) and cost > 0.0):
        raise TextSourceError(f"{path}, line {number}: give tokens of 1 or more, costs above 0")
    return batch, tokens, cost
