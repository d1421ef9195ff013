"""Values of a study file: how each is read, and refused where it is of the wrong kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mdbound.analysis.paths.path_setting import LONGEST_DRAFT
from mdbound.analysis.solving.num_drafts import parse_num_drafts
from mdbound.errors import InvalidSettingError

#: Words that stand for "no cut" in lists of top-k, top-p and vocabulary sizes.
NO_CUT = ("none", "full")

#: Word that stands for the target's own in a list of draft temperatures.
TARGET = ("target",)


@dataclass(frozen=True)
class Key:
    """A key of the file: the part of the study that it sets, and how its value is read."""

    part: str
    name: str
    read: Callable[[str, Any], Any]


def read_text(key: str, value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise wrong_value(key, value, "a text in quotes")
    return value


def read_integer(key: str, value: Any) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_value(key, value, "a whole number")
    return value


def read_number(key: str, value: Any) -> float:
    """A number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_value(key, value, "a number")
    return float(value)


def list_of(read: Callable[[str, Any], Any]) -> Callable[[str, Any], tuple[Any, ...]]:
    """A list, or one value for a list of one."""

    def read_list(key: str, value: Any) -> tuple[Any, ...]:
        return tuple(read(key, each) for each in (value if isinstance(value, list) else [value]))

    return read_list


def or_word(
    read: Callable[[str, Any], Any], words: tuple[str, ...] = NO_CUT
) -> Callable[[str, Any], Any]:
    """A value, or one of the words for None."""

    def read_either(key: str, value: Any) -> Any:
        return None if isinstance(value, str) and value.lower() in words else read(key, value)

    return read_either


def read_num_drafts(key: str, value: Any) -> tuple[int, ...]:
    """Numbers as in "1-8", a list of them, or one."""
    if isinstance(value, str):
        return parse_num_drafts(value)
    return tuple(sorted(set(list_of(read_integer)(key, value))))


def read_lengths(key: str, value: Any) -> tuple[int, ...]:
    """Draft lengths, as numbers of drafts are read."""
    if isinstance(value, str):
        return parse_num_drafts(value, "lengths", LONGEST_DRAFT)
    return read_num_drafts(key, value)


def filter_value(value: Any) -> Any:
    """A value that rows are kept by, or None for the words of no cut."""
    return None if isinstance(value, str) and value.lower() in NO_CUT else value


def wrong_value(key: str, value: Any, wanted: str) -> InvalidSettingError:
    """What to raise of a value of the wrong kind."""
    return InvalidSettingError(f"{key} = {value!r}: give {wanted}")
