"""What a probe found out about a model when it was loaded, and how the model is run for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

#: How a model learns where a token stands, as `ProbeRecord.position_ids` has it.
POSITIONS: Mapping[str, str] = MappingProxyType(
    {"counted": "counted from 0", "own": "the model's own", "none": "none"}
)


@dataclass(frozen=True)
class ProbeRecord:
    """Findings of a probe: measured differences, and what follows from them.

    Lengths are in tokens; None is any length and 0 is none.

    Attributes:
        longest: longest sequence that the probe ran.
        tolerance: largest difference between logits that counts as rounding.
        differences: by what was changed, the largest difference to the logits of one sequence that
            is run alone without `position_ids`; None where the run failed, or gave no numbers.
        position_ids: `counted`, if they are passed, counted from each sequence's first token;
            `own`, if the model makes its own, which differ; `none`, if it takes none.
        batch_length: longest sequences that may share a batch.
        decodes: whether the model was to decode: targets that answer are, others only read.
        cache_length: longest sequence that is decoded with a key-value cache; others are decoded
            by running the whole sequence for each token.
        length_switch: length beyond which the model computes all rows of a sequence differently;
            None if there is none.
    """

    longest: int
    tolerance: float
    differences: dict[str, float | None] = field(default_factory=dict)
    position_ids: str = "counted"
    batch_length: int | None = None
    decodes: bool = True
    cache_length: int | None = None
    length_switch: int | None = None

    def may_share_batch(self, length: int) -> bool:
        """Whether sequences of up to `length` tokens may be run in one batch.

        Example:
            >>> ProbeRecord(19, 1e-3, batch_length=0).may_share_batch(1)
            False
        """
        return self.batch_length is None or length <= self.batch_length

    def may_use_cache(self, length: int) -> bool:
        """Whether sequences of up to `length` tokens may be decoded with a key-value cache."""
        return self.cache_length is None or length <= self.cache_length

    @property
    def largest_rounding(self) -> float:
        """The largest difference that was taken for rounding.

        Example:
            >>> found = {"position_ids": 3.4, "left_padded": 1e-05, "right_padded": 4e-06}
            >>> ProbeRecord(19, 1e-3, found).largest_rounding
            1e-05
        """
        found = [size for size in self.differences.values() if size is not None]
        return max((size for size in found if size <= self.tolerance), default=0.0)

    @property
    def disagreements(self) -> dict[str, float | None]:
        """The differences beyond the tolerance, and runs that failed."""
        return {
            name: size
            for name, size in self.differences.items()
            if size is None or size > self.tolerance
        }

    def consequences(self) -> dict[str, str]:
        """How the model is run, in words: batches, positions, decoding.

        Example:
            >>> ProbeRecord(19, 1e-3, cache_length=0).consequences()
            {'batches': 'any', 'positions': 'counted from 0', 'decoding': 'whole sequences'}
        """
        decoding = _up_to(self.cache_length, "key-value cache", "whole sequences")
        return {
            "batches": _up_to(self.batch_length, "any", "one sequence at a time"),
            "positions": POSITIONS[self.position_ids],
            "decoding": decoding if self.decodes else "reads only",
        }


def _up_to(length: int | None, always: str, never: str) -> str:
    if length is None:
        return always
    return never if length == 0 else f"{always}, up to {length:,} tokens"


def probe_record_from(raw: dict[str, Any] | None) -> ProbeRecord | None:
    """The record of a manifest; None where the model was not probed.

    Raises:
        TypeError, ValueError: it is damaged.
    """
    if raw is None:
        return None
    record = ProbeRecord(**raw)
    if record.position_ids not in POSITIONS:
        raise ValueError(f"position_ids {record.position_ids!r}")
    return record
