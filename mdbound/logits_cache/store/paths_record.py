"""Which paths a capture has its drafts draw, as the manifest records it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: How the paths of a context are drawn: each token from the draft's law after those before it, and
#: each path independently of the others.
IID_PATHS = "iid_paths"


@dataclass(frozen=True)
class PathsRecord:
    """The paths that every draft draws at contexts of the text.

    Attributes:
        count: paths drawn at a context, K.
        length: tokens of a path, L.
        contexts: contexts of each answer, or all of them that have room where they are fewer.
        warpers: what the drafts' distributions were warped by before tokens were drawn, as
            `mdbound.bounds.Warpers.as_dict` records it: those of the answers.
    """

    count: int
    length: int
    contexts: int
    warpers: dict[str, Any]

    def settings(self) -> dict[str, int]:
        """What was asked for; the warpers follow from those of the answers.

        Example:
            >>> PathsRecord(4, 8, 2, {}).settings()
            {'count': 4, 'length': 8, 'contexts': 2}
        """
        return {"count": self.count, "length": self.length, "contexts": self.contexts}


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
    return PathsRecord(**{**raw, **numbers, "warpers": dict(raw["warpers"])})
