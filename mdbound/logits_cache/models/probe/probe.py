"""The probe: one short sequence in several surroundings, and what follows from the differences.

All surroundings are tried in one batch first. A healthy model answers that, and its probe costs two
forward passes, and three more if it is to decode. Only if something differs, each is tried alone,
to find out what.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mdbound.errors import ModelError
from mdbound.logits_cache.models.forward import Forward
from mdbound.logits_cache.models.probe.legs import PADDING, Legs, difference
from mdbound.logits_cache.models.probe.length_switch import length_switch, windows
from mdbound.logits_cache.models.probe.sequences import probe_sequences
from mdbound.logits_cache.store.probe_record import ProbeRecord

if TYPE_CHECKING:
    import torch

#: Differences between logits of size up to 10 that count as rounding, by type; of larger ones in
#: proportion. Healthy models differ by up to 3e-5 in float32 and 8e-3 in half precision, faults by
#: more than 5e-3 in float32 (two caches of recurrent layers; others by more than 0.05).
TOLERANCE: Mapping[str, float] = MappingProxyType(
    {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.1}
)

#: What a sequence that is padded on both sides, beside a longer one, stands for.
_PADDED = ("left_padded", "right_padded", "beside_longer")

#: Tokens that are cut off the end, and that are run one by one.
_CUT, _STEPS = 3, 2


def probe_network(
    network: Any,
    *,
    dtype: str,
    device: str,
    pad_id: int,
    vocab_size: int,
    avoided: Collection[int],
    name: str,
    decodes: bool,
) -> ProbeRecord:
    """Find out how a network must be run, and refuse one that is no causal language model.

    Args:
        network: the network, loaded.
        dtype: type it computes in.
        device: where it is.
        pad_id: token for padding columns.
        vocab_size: tokens to make sequences of.
        avoided: tokens that do not stand anywhere in a text.
        name: the model's name, for messages.
        decodes: whether the model is to decode, and not only to read.

    Raises:
        ModelError: the network cannot be run, or is not causal.
    """
    import torch

    config = network.config.get_text_config()
    switch = length_switch(config)
    tokens, longer = probe_sequences(vocab_size, avoided, switch, windows(config))
    legs = Legs(Forward.of(network), device, pad_id, rests=switch is not None)
    with torch.inference_mode():
        reference = _reference(legs, tokens, name)
        tolerance = TOLERANCE[dtype] * max(1.0, _size(reference) / 10)
        probe = _Probe(legs, tokens, longer, reference, tolerance, switch)
        if not probe.all_at_once():
            probe.check_causal(name)
            probe.find_positions()
            probe.find_batch_length()
        if decodes:
            probe.find_cache_length()
        return probe.record(decodes)


def _reference(legs: Legs, tokens: Sequence[int], name: str) -> torch.Tensor:
    try:
        return legs.plain(tokens)
    except Exception as error:  # networks raise whatever their layers raise
        reason = " ".join(str(error).split())[:160]
        raise ModelError(
            f"model {name!r} ({type(legs.call.network).__name__}) cannot be run "
            f"({type(error).__name__}: {reason}); give another model, or other versions of torch "
            "and transformers"
        ) from error


def _size(logits: torch.Tensor) -> float:
    """Largest finite logit by size."""
    return float(logits.nan_to_num(0.0, 0.0, 0.0).abs().max())


@dataclass
class _Probe:
    """A probe under way; `record` has what it found.

    Attributes:
        legs: the runs.
        tokens: the sequence.
        longer: a longer one that begins with it.
        reference: logits of the sequence run alone, shape (T, V).
        tolerance: largest difference that counts as rounding.
        switch: length beyond which the configuration says that rows change, or None.
    """

    legs: Legs
    tokens: Sequence[int]
    longer: Sequence[int]
    reference: torch.Tensor
    tolerance: float
    switch: int | None
    differences: dict[str, float | None] = field(default_factory=dict)
    position_ids: str = "none"
    batch_length: int | None = 0
    cache_length: int | None = 0

    def all_at_once(self) -> bool:
        """Try everything but decoding in one batch; whether nothing differs."""
        if self._crosses:
            return False
        counted = self.legs.call.takes_positions
        legs = replace(self.legs, counted=counted)
        # Continued, it stands on positions, and loses its suffix to become the reference.
        names = ("padded", "continued")
        self._measure(names, lambda: legs.together(self.tokens, self.longer))
        agreed = self._agree(*names)
        padded, continued = (self.differences.pop(name, None) for name in names)
        if not agreed:
            return False
        self.differences |= dict.fromkeys(_PADDED, padded) | {"suffix_removed": continued}
        if counted:
            self.differences["position_ids"] = continued
            self.position_ids = "counted"
        self.legs, self.batch_length = legs, self.switch
        return True

    def check_causal(self, name: str) -> None:
        """Refuse a network whose rows change when later tokens are removed.

        Raises:
            ModelError: it is one.
        """
        kept = max(1, len(self.tokens) - _CUT)
        self._measure(
            ("suffix_removed",), lambda: [self.legs.plain(self.tokens[:kept])], slice(kept)
        )
        if not self._agree("suffix_removed"):
            size = self.differences["suffix_removed"]
            changed = "cannot be compared" if size is None else f"change by {size:.2g}"
            raise ModelError(
                f"model {name!r} ({type(self.legs.call.network).__name__}) is not causal: its "
                f"logits {changed} when later tokens are removed; give a model that predicts the "
                "next token"
            )

    def find_positions(self) -> None:
        """Whether positions counted from 0 are what the network makes by itself."""
        if not self.legs.call.takes_positions:
            return
        counted = replace(self.legs, counted=True)
        self._measure(("position_ids",), lambda: [counted.with_positions(self.tokens)])
        if self._agree("position_ids"):
            self.position_ids, self.legs = "counted", counted
        else:
            self.position_ids = "own"

    def find_batch_length(self) -> None:
        """Up to which length a sequence is the same padded and beside others."""
        sides = ("left_padded", "right_padded")
        self._measure(sides, lambda: self.legs.padded(self.tokens))
        self._measure(("beside_longer",), lambda: [self.legs.beside(self.tokens, self.longer)])
        if self._crosses:
            begun = len(self.tokens)
            self._measure(("beyond_switch",), lambda: [self.legs.plain(self.longer)[:begun]])
        # What a sequence beyond the switch does to one beside it says nothing on those within.
        if self._agree(*sides) and (self._crosses or self._agree("beside_longer")):
            self.batch_length = self.switch

    def find_cache_length(self) -> None:
        """Up to which length decoding with a key-value cache is the same."""
        steps = min(_STEPS, len(self.tokens) - 1)
        padding = 0 if self.batch_length == 0 else PADDING
        self._measure(
            ("key_value_cache",),
            lambda: self.legs.stepped(self.tokens, steps, padding),
            slice(-steps, None),
        )
        if self._agree("key_value_cache"):
            self.cache_length = self.switch

    def record(self, decodes: bool) -> ProbeRecord:
        """What was found."""
        return ProbeRecord(
            decodes=decodes,
            longest=len(self.longer),
            tolerance=self.tolerance,
            differences=self.differences,
            position_ids=self.position_ids,
            batch_length=self.batch_length,
            cache_length=self.cache_length,
            length_switch=self.switch,
        )

    @property
    def _crosses(self) -> bool:
        """Whether the longer sequence goes beyond the switch, which the other does not."""
        return self.switch is not None and len(self.longer) > self.switch

    def _measure(
        self,
        names: Sequence[str],
        run: Callable[[], Sequence[torch.Tensor]],
        rows: slice = slice(None),
    ) -> None:
        """Enter the differences of the logits of a run, which may have nothing to compare."""
        try:
            found = run()
        except Exception:  # networks raise whatever their layers raise
            self.differences |= dict.fromkeys(names)
            return
        for name, logits in zip(names, found, strict=False):
            self.differences[name] = difference(logits, self.reference[rows])

    def _agree(self, *names: str) -> bool:
        sizes = [self.differences.get(name) for name in names]
        return all(size is not None and size <= self.tolerance for size in sizes)
