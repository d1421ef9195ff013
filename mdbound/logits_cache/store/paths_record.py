"""Which paths or trees a capture has its drafts draw, as the manifest records it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mdbound.bounds import Warpers
from mdbound.errors import InvalidSettingError
from mdbound.trees import Branching, Paths, Topology, TreeLaw, named_law
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
        contexts: contexts of each answer, or all of them that have room where they are fewer; None
            where `every` says which.
        warpers: what the answers were sampled with, as `mdbound.bounds.Warpers.as_dict` records
            it, and the drafts' tokens, too, but for `temperatures`.
        topology: slots of the trees, each the ranks of its ancestors and its own; None for others.
        sampling: how the children of a node are drawn, a law of `mdbound.trees`; None for others.
        named: trees of a law of `mdbound.trees.named_law`; None for others.
        trees: trees drawn at a context; 1 for paths, of which more are drawn.
        temperatures: of the drafts, one for all paths or one for each of K; None where it was that
            of the answers.
        every: n, where paths go on from every n-th position of an answer, beginning with the first.
    """

    count: int
    length: int
    contexts: int | None
    warpers: dict[str, Any]
    topology: tuple[Slot, ...] | None = None
    sampling: str | None = None
    named: str | None = None
    trees: int = 1
    every: int | None = None
    temperatures: tuple[float, ...] | None = None

    @property
    def draws_paths(self) -> bool:
        """Whether independent paths are drawn, and not trees."""
        return self.topology is None and self.named is None

    def path_warpers(self) -> tuple[Warpers, ...]:
        """What the draft's distributions were warped by: once for all paths, or once for each.

        Example:
            >>> record = PathsRecord(2, 8, 2, {"temperature": 0.7}, temperatures=(1.0, 1.2))
            >>> [each.temperature for each in record.path_warpers()]
            [1.0, 1.2]
        """
        answers = Warpers.from_dict(self.warpers)
        if self.temperatures is None:
            return (answers,)
        return tuple(answers.at(temperature) for temperature in self.temperatures)

    def law(self) -> TreeLaw:
        """The law of what is drawn.

        Example:
            >>> PathsRecord(4, 8, 2, {}).law().title()
            '4 paths of 8 tokens'
        """
        if self.draws_paths:
            return Paths(self.count, self.length)
        if self.named is not None:
            return named_law(self.named)
        return Branching(Topology(self.topology or ()), self.sampling or "")

    def settings(self) -> dict[str, Any]:
        """What was asked for; the warpers follow from those of the answers.

        Example:
            >>> PathsRecord(4, 8, 2, {}).settings()
            {'count': 4, 'length': 8, 'contexts': 2}
        """
        asked: dict[str, Any] = {"count": self.count, "length": self.length}
        # What earlier captures do not know is left out of them: theirs stay the same settings.
        slots = None if self.topology is None else [list(slot) for slot in self.topology]
        further = {
            "contexts": self.contexts,
            "topology": slots,
            "sampling": self.sampling,
            "named": self.named,
            "trees": self.trees if self.trees > 1 else None,
            "every": self.every,
            "temperatures": None if self.temperatures is None else list(self.temperatures),
        }
        return asked | {name: value for name, value in further.items() if value is not None}


def _numbers_of(record: PathsRecord) -> tuple[int, ...]:
    """How many temperatures a record can have."""
    return (1, record.count) if record.draws_paths else (1,)


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
    numbers = {"count": raw["count"], "length": raw["length"], "trees": raw.get("trees", 1)}
    where = {name: raw.get(name) for name in ("contexts", "every") if raw.get(name) is not None}
    if len(where) != 1:
        raise ValueError(f"{len(where)} of contexts and every are given, and not one of them")
    for name, value in (numbers | where).items():
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} {value!r} is no number of 1 or more")
    values = {"contexts": None, **raw, **numbers, "warpers": dict(raw["warpers"])}
    if values.get("topology") is not None:
        values["topology"] = tuple(tuple(slot) for slot in values["topology"])
    if values.get("temperatures") is not None:
        values["temperatures"] = tuple(float(each) for each in values["temperatures"])
    record = PathsRecord(**values)
    if record.topology is not None and record.named is not None:
        raise ValueError(f"both a topology and {record.named} are given")
    if record.draws_paths and record.trees > 1:
        raise ValueError(f"trees {record.trees} of paths, which are one tree")
    if record.temperatures is not None and len(record.temperatures) not in _numbers_of(record):
        raise ValueError(f"{len(record.temperatures)} temperatures of {record.count} paths")
    try:
        record.path_warpers()
        law = record.law()
    except InvalidSettingError as error:
        raise ValueError(str(error)) from error
    drawn = (record.count, record.length)
    if not record.draws_paths and (law.first_draws, law.depth) != drawn:
        raise ValueError(f"count {record.count} and length {record.length} are not the law's")
    return record
