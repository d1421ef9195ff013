"""A draft law on trees: how many tokens are drafted after each node, and by which law."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Hashable, Iterator, Mapping, Sequence
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray
from mdbound.errors import InvalidSettingError
from mdbound.paths.tiny.model import Model, Number, Prefix, Row, row_of
from mdbound.trees.drafting.drafted_tree import Drafted, DraftedTree
from mdbound.trees.drafting.node_draws import node_law

State = TypeVar("State", bound=Hashable)
"""What a law has to know of a node, beside its row, to draft after it."""

Drafts: TypeAlias = Model | Sequence[Model]
"""One draft model, or one for each path where a law takes them."""

Growth: TypeAlias = Generator[list[Prefix], Sequence[FloatArray], DraftedTree]
"""Yields the nodes whose rows it needs next, is sent the rows, and returns the tree."""


class TreeLaw(ABC):
    """A law of drafted trees."""

    @property
    @abstractmethod
    def sampling(self) -> str:
        """The law of one node's list: a name in `NODE_LAWS`."""

    @property
    @abstractmethod
    def depth(self) -> int:
        """L, the most tokens that a call can accept."""

    @property
    @abstractmethod
    def first_draws(self) -> int:
        """Tokens that are drafted after the context."""

    @abstractmethod
    def title(self) -> str:
        """What to call it in tables and messages."""

    @abstractmethod
    def can_draw(self, tree: DraftedTree) -> bool:
        """Whether a tree has the form of those that are drawn, whatever the draft's rows are.

        Example:
            >>> from mdbound.trees import Paths
            >>> tree = DraftedTree({(): (7, 7), (7,): (1, 2)})
            >>> Paths(2, 2).can_draw(tree), Paths(2, 3).can_draw(tree)
            (True, False)
        """

    @abstractmethod
    def most_trees(self, vocab_size: int) -> float:
        """Trees over so many tokens, in the order of their draws: no fewer than `trees` yields."""

    @abstractmethod
    def trees(self, draft: Drafts) -> Iterator[tuple[DraftedTree, Number]]:
        """Every tree that can be drafted, lists in the order of their draws, with its probability.

        Args:
            draft: rows of q for every node that may be drafted after.

        Raises:
            InvalidDistributionError: a row that is no distribution.
            InvalidSettingError: a missing row.

        Example:
            >>> from mdbound.trees import Paths
            >>> found = list(Paths(2, 1).trees({(): (0.25, 0.75)}))
            >>> [(tree.drafted[()], mass) for tree, mass in found]
            [((0, 0), 0.0625), ((0, 1), 0.1875), ((1, 0), 0.1875), ((1, 1), 0.5625)]
        """

    @abstractmethod
    def grow(self, rng: np.random.Generator) -> Growth:
        """Draw a tree level by level, for whoever has to run a model to know a row.

        Args:
            rng: source of randomness; the same state and rows give the same tree.

        Yields:
            Nodes of one depth; wants their rows, float64 arrays, in the same order.

        Returns:
            The tree.

        Example:
            >>> from mdbound.trees import Paths
            >>> growth = Paths(2, 1).grow(np.random.default_rng(0))
            >>> next(growth)
            [()]
            >>> try:
            ...     growth.send([np.array([0.0, 1.0])])
            ... except StopIteration as end:
            ...     print(end.value.drafted)
            {(): (1, 1)}
        """


class NodewiseLaw(TreeLaw, Generic[State]):
    """A law in which the tokens of one node are drawn independently of all other nodes.

    A subclass says how many tokens are drafted after a node and what the state of a child is; the
    tokens are drawn by a law of one position.
    """

    @abstractmethod
    def root(self) -> State:
        """The state of the context."""

    @abstractmethod
    def num_draws(self, state: State) -> int:
        """Tokens drafted after a node; 0 after a leaf."""

    @abstractmethod
    def child(self, state: State, drafted: Sequence[int], token: int) -> State:
        """The state of a child, given the list that it came from."""

    @property
    def first_draws(self) -> int:
        """See `TreeLaw.first_draws`."""
        return self.num_draws(self.root())

    def can_draw(self, tree: DraftedTree) -> bool:
        """See `TreeLaw.can_draw`: as many draws as the state says, or fewer where a support ends.

        Only draws with replacement repeat a token.
        """
        ends = self.sampling != "with_replacement"
        states: dict[Prefix, State] = {(): self.root()}
        for node in ((), *tree.nodes()):
            if node:
                parent = node[:-1]
                states[node] = self.child(states[parent], tree.drafted[parent], node[-1])
            tokens = tree.drafted.get(node, ())
            wanted, found = self.num_draws(states[node]), len(tokens)
            if found > wanted or (found < wanted and not (ends and found)):
                return False
            if ends and len(set(tokens)) < found:
                return False
        return True

    def rows(self, draft: Drafts, node: Prefix, state: State) -> list[Row]:
        """A row of the draft for each token that is drafted after a node.

        Raises:
            InvalidSettingError: a model for each path, which this law does not take, or no row.
            InvalidDistributionError: a row that is no distribution.
        """
        if not isinstance(draft, Mapping):
            raise InvalidSettingError(
                f"`draft` is {len(draft)} models: {self.title()} takes one; several are for i.i.d. "
                "paths"
            )
        return [row_of(draft, node, "draft")] * self.num_draws(state)

    def trees(self, draft: Drafts) -> Iterator[tuple[DraftedTree, Number]]:
        """See `TreeLaw.trees`."""
        known: dict[tuple[Prefix, State], list[tuple[Drafted, Number]]] = {}
        for drafted, mass in self._subtrees(draft, (), self.root(), known):
            yield DraftedTree(drafted), mass

    def _subtrees(
        self,
        draft: Drafts,
        node: Prefix,
        state: State,
        known: dict[tuple[Prefix, State], list[tuple[Drafted, Number]]],
    ) -> Iterator[tuple[Drafted, Number]]:
        """What can hang below a node; `known` keeps it, since siblings' trees repeat it."""
        if not self.num_draws(state):
            yield {}, 1
            return
        for drafted, mass in node_law(self.sampling).lists(self.rows(draft, node, state)):
            found: list[tuple[Drafted, Number]] = [({node: drafted}, mass)]
            for token in dict.fromkeys(drafted):
                key = ((*node, token), self.child(state, drafted, token))
                if key not in known:
                    known[key] = list(self._subtrees(draft, *key, known))
                found = [(one | two, a * b) for one, a in found for two, b in known[key]]
            yield from found

    def grow(self, rng: np.random.Generator) -> Growth:
        """See `TreeLaw.grow`."""
        drafted: Drafted = {}
        level: dict[Prefix, State] = {(): self.root()}
        while level:
            rows = yield list(level)
            below: dict[Prefix, State] = {}
            for (node, state), row in zip(level.items(), rows, strict=True):
                tokens = node_law(self.sampling).draw([row] * self.num_draws(state), rng)
                drafted[node] = tokens
                for token in dict.fromkeys(tokens):
                    child = self.child(state, tokens, token)
                    if self.num_draws(child):
                        below[*node, token] = child
            level = below
        return DraftedTree(drafted)
