"""A topology: the slots of a draft tree, each named by the ranks of its ancestors and its own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from mdbound.errors import InvalidSettingError

Slot: TypeAlias = tuple[int, ...]
"""Ranks from the root down, 0 the first child; `()` is the root, which is no drafted token."""

LARGEST = 4096
"""Most slots of a topology: real ones have tens, and a file may claim anything."""


@dataclass(frozen=True)
class Topology:
    """The slots of a draft tree.

    Attributes:
        slots: every slot but the root, depth first. Children of a slot have the ranks 0, 1, ...

    Raises:
        InvalidSettingError: no slots, too many, one given twice, one without its parent, or ranks
            with a gap.

    Example:
        >>> tree = Topology(((0,), (0, 0), (1,)))
        >>> tree.size, tree.depth, tree.num_children(()), tree.num_children((1,))
        (3, 2, 2, 0)
    """

    slots: tuple[Slot, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.slots) <= LARGEST:
            raise InvalidSettingError(
                f"`topology` has {len(self.slots)} nodes: give 1 to {LARGEST}, the root not counted"
            )
        known = set(self.slots)
        if len(known) < len(self.slots):
            raise InvalidSettingError("`topology` gives a node twice: give each once")
        for slot in self.slots:
            elder = (*slot[:-1], slot[-1] - 1) if slot and slot[-1] > 0 else None
            missing = [one for one in (slot[:-1], elder) if one and one not in known]
            if not slot or slot[-1] < 0 or missing:
                raise InvalidSettingError(
                    f"`topology` node {list(slot)} stands without "
                    f"{list(missing[0]) if missing else 'a rank'}: give ranks from 0 on, and every "
                    "ancestor and elder sibling of a node"
                )
        object.__setattr__(self, "slots", tuple(sorted(known)))

    @property
    def size(self) -> int:
        """Slots, the root not counted: drafted tokens of a tree without merged copies."""
        return len(self.slots)

    @property
    def depth(self) -> int:
        """Slots on the longest way down: the most tokens that a call can accept."""
        return max(len(slot) for slot in self.slots)

    @cached_property
    def _children(self) -> dict[Slot, int]:
        found: dict[Slot, int] = {}
        for slot in self.slots:
            found[slot[:-1]] = max(found.get(slot[:-1], 0), slot[-1] + 1)
        return found

    def num_children(self, slot: Slot) -> int:
        """Children of a slot."""
        return self._children.get(slot, 0)

    @property
    def internal(self) -> tuple[Slot, ...]:
        """Slots with children, the root first: where both models' rows are needed."""
        return tuple(slot for slot in ((), *self.slots) if self.num_children(slot))

    def as_json(self) -> str:
        """The slots as a JSON list of lists, as `topology_from_json` reads it.

        Example:
            >>> full((2,)).as_json()
            '[[0], [1]]'
        """
        return json.dumps([list(slot) for slot in self.slots])

    def drawn(self) -> str:
        """The tree in lines of text, a line for each slot.

        Example:
            >>> print(Topology(((0,), (0, 0), (1,))).drawn())
            root
            ├── 0
            │   └── 0
            └── 1
        """
        return "\n".join(["root", *self._lines((), "")])

    def _lines(self, slot: Slot, indent: str) -> Iterable[str]:
        count = self.num_children(slot)
        for rank in range(count):
            last = rank == count - 1
            yield f"{indent}{'└── ' if last else '├── '}{rank}"
            yield from self._lines((*slot, rank), indent + ("    " if last else "│   "))


def full(children: Sequence[int]) -> Topology:
    """The tree in which every node of depth d has `children[d]` children.

    Raises:
        InvalidSettingError: no depths, a number below 1, or more nodes than a topology may have.

    Example:
        >>> full((2, 2, 2, 2)).size, len(full((4, 4, 4)).internal)
        (30, 21)
    """
    counts = tuple(children)
    if not counts or any(type(count) is not int or count < 1 for count in counts):
        raise InvalidSettingError(
            f"`children` is {list(counts)}: give the children of a node at each depth, 1 or more"
        )
    size, width = 0, 1
    for count in counts:
        width *= count
        size += width
        if size > LARGEST:
            raise InvalidSettingError(
                f"`children` {list(counts)} make more than {LARGEST} nodes: give fewer"
            )
    slots: list[Slot] = []
    level: list[Slot] = [()]
    for count in counts:
        level = [(*slot, rank) for slot in level for rank in range(count)]
        slots += level
    return Topology(tuple(slots))


def delayed(num_paths: int, trunk: int, length: int) -> Topology:
    """One path of `trunk` tokens, and `num_paths` paths of `length` tokens below its end.

    Raises:
        InvalidSettingError: a number below 1.

    Source: delayed tree expansion (2602.16994).

    Example:
        >>> delayed(2, 1, 2).slots
        ((0,), (0, 0), (0, 0, 0), (0, 1), (0, 1, 0))
    """
    if min(num_paths, trunk, length) < 1:
        raise InvalidSettingError(
            f"`delayed` is {num_paths}, {trunk}, {length}: give 1 or more paths, tokens of the "
            "trunk and tokens of a path"
        )
    return full((*([1] * trunk), num_paths, *([1] * (length - 1))))


def topology_from_json(text: str) -> Topology:
    """Read a JSON list of nodes, each the list of its ranks from the root down.

    Raises:
        InvalidSettingError: other JSON, or no topology.

    Example:
        >>> topology_from_json("[[0], [1], [0, 0]]").depth
        2
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidSettingError(
            "`topology` is no JSON: give a list of nodes, such as [[0], [1], [0, 0]]"
        ) from None
    whole = isinstance(raw, list) and all(
        isinstance(slot, list) and all(type(rank) is int for rank in slot) for slot in raw
    )
    if not whole:
        raise InvalidSettingError(
            "`topology` is no list of lists of ranks: give one such as [[0], [1], [0, 0]]"
        )
    return Topology(tuple(tuple(slot) for slot in raw))
