"""What probes found out about the models of a capture, as `mdbound info` prints it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from mdbound.logits_cache.store.manifest import ModelRecord
    from mdbound.logits_cache.store.probe_record import ProbeRecord

#: What was done to a sequence, in words.
_LEGS: Mapping[str, str] = MappingProxyType(
    {
        "suffix_removed": "suffix removed",
        "position_ids": "positions counted",
        "left_padded": "padded left",
        "right_padded": "padded right",
        "beside_longer": "beside a longer one",
        "beyond_switch": "grown beyond the switch",
        "key_value_cache": "decoded with a cache",
    }
)

#: Names of tensors in a line.
_SHOWN = 3


def probe_table(records: Sequence[ModelRecord]) -> Table:
    """How each model is run, and how far its logits moved."""
    from rich.table import Table

    table = Table(title="Probes (largest difference to a sequence run alone)", title_justify="left")
    table.add_column("model", no_wrap=True)
    for name in ("batches", "positions", "decoding", "differences"):
        table.add_column(name, overflow="fold")
    for record in records:
        if record.probe is None:
            table.add_row(record.name, "not probed")
        else:
            how = record.probe.consequences()
            table.add_row(
                record.name, how["batches"], how["positions"], how["decoding"],
                differences_in_words(record.probe),
            )  # fmt: skip
    return table


def differences_in_words(probe: ProbeRecord) -> str:
    """Rounding, and what differs by more.

    Example:
        >>> from mdbound.logits_cache.store.probe_record import ProbeRecord
        >>> found = {"position_ids": 2e-06, "left_padded": 0.87, "right_padded": None}
        >>> differences_in_words(ProbeRecord(12, 1e-3, found))
        'rounding 2e-06; padded left 0.87; padded right not comparable'
    """
    parts = [f"rounding {probe.largest_rounding:.0e}"]
    for name, size in probe.disagreements.items():
        parts.append(f"{_LEGS[name]} {'not comparable' if size is None else format(size, '.2g')}")
    return "; ".join(parts)


def model_notes(records: Sequence[ModelRecord]) -> Iterator[str]:
    """What else was found when the models were loaded, a line each."""
    for record in records:
        if record.trust_remote_code:
            yield f"{record.name}: code in the model's folder could run (--trust-remote-code)."
        if record.unused_weights:
            shown = ", ".join(record.unused_weights[:_SHOWN])
            more = len(record.unused_weights) - _SHOWN
            rest = f" and {more} more" if more > 0 else ""
            yield f"{record.name}: tensors of its files that it has no place for: {shown}{rest}."
        if record.probe is not None and record.probe.length_switch is not None:
            yield (
                f"{record.name}: in sequences of more than {record.probe.length_switch:,} tokens "
                "every row depends on their length. Stored is one pass over each whole sequence."
            )
