"""How a network is called: with the arguments that its forward pass takes, and no others."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

#: Arguments that architectures without positions, caches or partial logits do not know.
_OPTIONAL = ("position_ids", "logits_to_keep", "use_cache", "past_key_values")


@dataclass(frozen=True)
class Forward:
    """A network's forward pass.

    Attributes:
        network: the transformers model.
        accepted: which of the optional arguments it takes.
    """

    network: Any
    accepted: frozenset[str]

    @classmethod
    def of(cls, network: Any) -> Forward:
        """Look at a network's forward pass."""
        parameters = inspect.signature(network.forward).parameters
        return cls(network, frozenset(name for name in _OPTIONAL if name in parameters))

    @property
    def takes_positions(self) -> bool:
        """Whether `position_ids` can be passed."""
        return "position_ids" in self.accepted

    @property
    def takes_cache(self) -> bool:
        """Whether `past_key_values` can be passed."""
        return "past_key_values" in self.accepted

    def __call__(self, input_ids: Any, attention_mask: Any = None, **options: Any) -> Any:
        """Run the network; options that are None, or that it does not take, are left out."""
        given = {
            name: value
            for name, value in options.items()
            if value is not None and name in self.accepted
        }
        if attention_mask is None:
            return self.network(input_ids=input_ids, **given)
        return self.network(input_ids=input_ids, attention_mask=attention_mask, **given)
