"""Trees of one topology, the children of each node drawn together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mdbound.trees.drafting.node_draws import node_law
from mdbound.trees.drafting.tree_law import NodewiseLaw
from mdbound.trees.topologies.catalogue import topology
from mdbound.trees.topologies.topology import Slot, Topology, full


@dataclass(frozen=True)
class Branching(NodewiseLaw[Slot]):
    """Each node drafts as many tokens as its slot has children; their ranks choose their slots.

    Repeated draws share one child, whose subtree is drawn once, in the slot of the first.

    Attributes:
        children: children of a node at each depth, a topology, or the name of one; kept as a
            topology.
        sampling_law: `"with_replacement"`, `"without_replacement"` (stops when the support ends),
            `"greedy"` (the n - 1 most likely and one draw from the rest) or `"top_k"` (the n most
            likely, which leaves nothing to chance). `sampling=` in the constructor.

    Raises:
        InvalidSettingError: no topology, or no such law.

    Example:
        >>> Branching((2, 2), sampling="without_replacement").title()
        'tree of 6 nodes, without_replacement'
    """

    children: Topology
    sampling_law: str

    def __init__(
        self, children: Sequence[int] | Topology | str, sampling: str = "without_replacement"
    ) -> None:
        node_law(sampling)
        object.__setattr__(self, "children", _topology_of(children))
        object.__setattr__(self, "sampling_law", sampling)

    @property
    def sampling(self) -> str:
        """See `TreeLaw.sampling`."""
        return self.sampling_law

    @property
    def depth(self) -> int:
        """See `TreeLaw.depth`."""
        return self.children.depth

    def title(self) -> str:
        """See `TreeLaw.title`."""
        return f"tree of {self.children.size} nodes, {self.sampling}"

    def root(self) -> Slot:
        """See `NodewiseLaw.root`."""
        return ()

    def num_draws(self, state: Slot) -> int:
        """See `NodewiseLaw.num_draws`."""
        return self.children.num_children(state)

    def child(self, state: Slot, drafted: Sequence[int], token: int) -> Slot:
        """See `NodewiseLaw.child`."""
        return (*state, list(dict.fromkeys(drafted)).index(token))

    def most_trees(self, vocab_size: int) -> float:
        """See `TreeLaw.most_trees`."""
        counts = [self.children.num_children(slot) for slot in self.children.internal]
        return math.prod(node_law(self.sampling).most_lists(vocab_size, n) for n in counts)


def _topology_of(children: Sequence[int] | Topology | str) -> Topology:
    if isinstance(children, Topology):
        return children
    return topology(children) if isinstance(children, str) else full(children)
