"""The Python language reference that ships inside every CPython, as a source of text.

`pydoc_data.topics` is the text behind `help("if")`: some eighty sections of the reference, there
without a download. A fixed part of them is held out: the bundled tiny models
(`mdbound.logits_cache.tiny`) never saw it, so measuring them there is fair.

The sections overlap: the topic "compound" contains the whole of "with". A split by name alone
would leak, so text for training comes from `training_topics`, where every paragraph that shares
text with a held-out section is gone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from mdbound.errors import InvalidSettingError, TextSourceError

MIN_HELD_OUT_CHARACTERS = 800
"""A shorter held-out section is used for nothing: it gives too few positions to measure on."""

RESERVED_SHARE = 0.3
"""Share of the names that is kept from training. About 1/4 remain once short ones are gone."""

SHARED_RUN_WORDS = 10
"""Two paragraphs with this many consecutive words in common count as the same text."""

_MAX_SHARED_WITH_OTHER_TOPIC = 0.5
"""Share of a held-out section that may repeat longer ones: lower drops sections, higher counts the
same text twice."""

_WORD = re.compile(r"\w+")
_BLANK_LINES = re.compile(r"\n[ \t]*\n")


@dataclass(frozen=True)
class Topic:
    """One section of the language reference.

    Attributes:
        name: The name `help()` knows it by, such as "with".
        text: The section, as plain text.
        held_out: Whether it is one of the sections to measure on.
    """

    name: str
    text: str
    held_out: bool


def python_docs_topics(split: Literal["all", "train", "held_out"] = "all") -> list[Topic]:
    """The sections of the language reference, sorted by name.

    Which names are reserved depends on a hash of the name alone, so it is the same on every
    version of Python. A reserved section is in "held_out" if it has `MIN_HELD_OUT_CHARACTERS`
    and does not repeat a longer held-out one; otherwise it is in neither "train" nor "held_out".

    The text of "train" is complete and overlaps with held-out text: to train on it, use
    `training_topics`.

    Args:
        split: "all", "train" (names that are not reserved) or "held_out".

    Returns:
        The topics of that split.

    Raises:
        InvalidSettingError: If the split is none of the three.
        TextSourceError: If this Python was built without `pydoc_data`.

    Example:
        >>> [topic.name for topic in python_docs_topics("held_out") if topic.name < "aug"]
        ['atom-identifiers', 'attribute-references']
    """
    topics = _all_topics()
    if split == "all":
        return list(topics)
    if split == "train":
        return [topic for topic in topics if not is_reserved(topic.name)]
    if split == "held_out":
        return [topic for topic in topics if topic.held_out]
    raise InvalidSettingError(
        f'split={split!r} is not a split of the Python docs: use "all", "train" or "held_out"'
    )


def training_topics() -> list[Topic]:
    """The topics to train on, without any paragraph that shares text with a reserved topic.

    Returns:
        The topics of the "train" split that have text left, sorted by name.

    Example:
        >>> any(topic.name == "with" for topic in training_topics())
        False
    """
    held_out_filter = HeldOutFilter.for_python_docs()
    stripped = [
        replace(topic, text=held_out_filter.strip(topic.text))
        for topic in python_docs_topics("train")
    ]
    return [topic for topic in stripped if topic.text]


def training_text() -> str:
    """All of `training_topics` as one text, topics separated by blank lines.

    Example:
        >>> "assert_stmt" in training_text()
        True
    """
    return "\n\n".join(topic.text for topic in training_topics())


def is_reserved(name: str) -> bool:
    """Whether the topic of this name is kept from training, on every version of Python.

    Args:
        name: The topic's name.

    Example:
        >>> is_reserved("with"), is_reserved("assert")
        (True, False)
    """
    digest = hashlib.sha256(f"python-docs/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < RESERVED_SHARE * 2**64


class HeldOutFilter:
    r"""Removes from a text what it shares with texts that are held out.

    A paragraph goes if, spacing, punctuation and case aside, it equals a held-out paragraph or
    has `SHARED_RUN_WORDS` consecutive words in common with one. The second rule catches
    paragraphs that differ by a footnote or a sentence.

    Args:
        held_out: The texts to keep out.

    Example:
        >>> text = "Kept.\n\n  A *held out*\n  LINE\n\nKept too."
        >>> HeldOutFilter(["a held-out line."]).strip(text)
        'Kept.\n\nKept too.'
    """

    def __init__(self, held_out: Iterable[str]) -> None:
        paragraphs = [_words(paragraph) for text in held_out for paragraph in _paragraphs(text)]
        self._paragraphs = {words for words in paragraphs if words}
        self._runs = {run for words in paragraphs for run in _runs(words)}

    @classmethod
    def for_python_docs(cls) -> HeldOutFilter:
        """The filter for every reserved topic, measured on or not."""
        return cls(topic.text for topic in python_docs_topics() if is_reserved(topic.name))

    def shares_text(self, paragraph: str) -> bool:
        """Whether a paragraph repeats held-out text.

        Args:
            paragraph: A text without blank lines.
        """
        words = _words(paragraph)
        return words in self._paragraphs or any(run in self._runs for run in _runs(words))

    def strip(self, text: str) -> str:
        """The text without the paragraphs that repeat held-out text.

        Args:
            text: Paragraphs separated by blank lines.
        """
        kept = [part for part in _paragraphs(text) if not self.shares_text(part)]
        return "\n\n".join(kept).strip("\n")


@lru_cache(maxsize=1)
def _all_topics() -> tuple[Topic, ...]:
    texts = _pydoc_topics()
    measured = _measured_names({name: text for name, text in texts.items() if is_reserved(name)})
    return tuple(Topic(name, texts[name], name in measured) for name in sorted(texts))


def _pydoc_topics() -> dict[str, str]:
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise TextSourceError(
            "this Python has no pydoc_data.topics (some distributions package it apart): "
            "install its documentation or standard-library package, or capture another text"
        ) from error
    return {str(name): str(text) for name, text in topics.items()}


def _measured_names(reserved: dict[str, str]) -> set[str]:
    """The reserved topics that are long enough and mostly unlike the longer ones."""
    measured: set[str] = set()
    for name in sorted(reserved, key=lambda name: (-len(reserved[name]), name)):
        text = reserved[name]
        others = HeldOutFilter(reserved[other] for other in measured)
        if len(text) >= MIN_HELD_OUT_CHARACTERS and not _mostly_repeats(text, others):
            measured.add(name)
    return measured


def _mostly_repeats(text: str, others: HeldOutFilter) -> bool:
    paragraphs = list(_paragraphs(text))
    repeated = sum(len(paragraph) for paragraph in paragraphs if others.shares_text(paragraph))
    return repeated > _MAX_SHARED_WITH_OTHER_TOPIC * sum(map(len, paragraphs))


def _paragraphs(text: str) -> Iterator[str]:
    return (part.strip("\n") for part in _BLANK_LINES.split(text) if part.strip())


def _words(paragraph: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(paragraph.casefold()))


def _runs(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    last_start = len(words) - SHARED_RUN_WORDS
    return (words[start : start + SHARED_RUN_WORDS] for start in range(last_start + 1))
