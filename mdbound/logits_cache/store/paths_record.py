"""Which paths or trees a capture has its drafts draw, as the manifest records it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mdbound.errors import InvalidSettingError
from mdbound.trees import Branching, Paths, Topology, TreeLaw
from mdbound.trees.topologies.topology import Slot

#: How the paths of a context are drawn: each token from the draft's law after those before it, and
#: each path independently of the others.
IID_PATHS = "iid_paths"


@dataclass(frozen=True)
class PathsRecord:
    """The paths that every draft draws at contexts of the text, or the trees.

    Attributes:
        count: paths drawn at a context, K; tokens that a tree drafts after the context.
        length: tokens of a path, L; depth of a tree.
        contexts: contexts of each answer, or all of them that have room where they are fewer.
        warpers: what the drafts' distributions were warped by before tokens were drawn, as
            `mdbound.bounds.Warpers.as_dict` records it: those of the answers.
        topology: slots of the trees, each the ranks of its ancestors and its own; None for paths.
        sampling: how the children of a node are drawn, a law of `mdbound.trees`; None for paths.
    """

    count: int
    length: int
    contexts: int
    warpers: dict[str, Any]
    topology: tuple[Slot, ...] | None = None
    sampling: str | None = None

    def law(self) -> TreeLaw:
        """The law of what is drawn.

        Example:
            >>> PathsRecord(4, 8, 2, {}).law().title()
            '4 paths of 8 tokens'
        """
        if self.topology is None:
            return Paths(self.count, self.length)
        return Branching(Topology(self.topology), self.sampling or "")

    def settings(self) -> dict[str, Any]:
        """What was asked for; the warpers follow from those of the answers.

        Example:
            >>> PathsRecord(4, 8, 2, {}).settings()
            {'count': 4, 'length': 8, 'contexts': 2}
        """
        asked = {"count": self.count, "length": self.length, "contexts": self.contexts}
        if self.topology is None:
            return asked
        slots = [list(slot) for slot in self.topology]
        return {**asked, "topology": slots, "sampling": self.sampling}


def paths_record_from(raw: dict[str, Any] | None) -> PathsRecord | None:
    """The record of a manifest; None where there is none.

    Raises:
        KeyError, TypeError, ValueError: it is not of this form.

    Example:
        >>> paths_record_from({"count": 0, "length": 8, "contexts": 2, "warpers": {}})
        Traceback (most recent call last):
        ValueError: count 0 is no number of 1 or more
    """
    if raw is None:
        return None
    numbers = {}
    for name in ("count", "length", "contexts"):
        value = raw[name]
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} {value!r} is no number of 1 or more")
        numbers[name] = value
    values = {**raw, **numbers, "warpers": dict(raw["warpers"])}
    if values.get("topology") is not None:
        values["topology"] = tuple(tuple(slot) for slot in values["topology"])
    record = PathsRecord(**values)
    try:
        law = record.law()
    except InvalidSettingError as error:
        raise ValueError(str(error)) from error
    if isinstance(law, Branching) and (law.num_draws(()), law.depth) != (
        record.count,
        record.length,
    ):
        raise ValueError(f"count {record.count} and length {record.length} are not the topology's")
    return record
