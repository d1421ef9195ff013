"""The documentation's examples: what they run, what they print, and what may differ."""

from __future__ import annotations

import doctest
import hashlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
TUTORIAL = DOCS / "tutorial.md"

ELIDED = "..."
"""Stands for lines that a page leaves out."""

_FENCE = re.compile(r"(?:<!-- show: (\d+) -->\n)?```(console|python)\n(.*?)```\n", re.DOTALL)
_TEXT = re.compile(r"<!-- text: (\w*) -->")
_NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
# Speed, size on disk, shares of an allowance: they depend on the machine, or on the last bit.
_VOLATILE = re.compile(
    r"[\d,.]+ positions/s|[\d.]+ [KMG]iB|\([\d.]+ times smaller|\d+% of|[0-9a-f]{16}"
)


def reference_text() -> str:
    """Hash of the language reference that this Python ships, which the tutorial's models read."""
    from pydoc_data.topics import topics

    return hashlib.sha256(repr(sorted(topics.items())).encode()).hexdigest()


def text_of_the_tutorial() -> str:
    """The same of the Python that the tutorial was last generated with."""
    recorded = _TEXT.search(TUTORIAL.read_text(encoding="utf-8"))
    assert recorded is not None
    return recorded[1]


def with_text(page: str, text: str) -> str:
    """The tutorial with another hash recorded."""
    return _TEXT.sub(f"<!-- text: {text} -->", page)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: "console" or "python".
        text: Between the fences.
        start: Offset of the text in the page.
        shown: Lines of output that the page shows, None for all.
    """

    language: str
    text: str
    start: int
    shown: int | None

    @property
    def command(self) -> str:
        """The command of a console block, as typed."""
        lines = self.text.removeprefix("$ ").splitlines(keepends=True)
        last = next(i for i, line in enumerate(lines) if not line.endswith("\\\n"))
        return "".join(lines[: last + 1])

    @property
    def output(self) -> str:
        """What a console block says the command prints."""
        return self.text.removeprefix("$ " + self.command)


def blocks(page: Path) -> Iterator[Block]:
    """The console and python blocks of a page, in order."""
    for match in _FENCE.finditer(page.read_text(encoding="utf-8")):
        shown = int(match[1]) if match[1] else None
        yield Block(match[2], match[3], match.start(3), shown)


def run_command(block: Block, folder: Path) -> str:
    """Run a console block in a folder; return what it prints, cut as the page cuts it."""
    words = shlex.split(block.command.replace("\\\n", " "))
    assert words[0] == "mdbound"
    plain = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        # One thread: on a busy machine two wait for each other longer than tiny models compute.
        env=plain | {"NO_COLOR": "1", "TERM": "dumb", "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, f"{block.command}\n{done.stdout}{done.stderr}"
    return elide(done.stdout, block.shown)


def elide(output: str, shown: int | None) -> str:
    """Leave out notes on the machine and the run, and what comes after the lines shown."""
    lines = [line.rstrip() for line in output.splitlines()]
    if shown is not None and len(lines) > shown:
        lines = [*lines[:shown], ELIDED]
    kept: list[str] = []
    in_notes = False
    for line in lines:
        in_notes = line.startswith(("- Capture ", "- Solved ", "- Written ")) or (
            in_notes and not line.startswith(("- ", "wrote "))
        )
        if not in_notes:
            kept.append(line)
        elif kept[-1:] != [ELIDED]:
            kept.append(ELIDED)
    return "\n".join(kept).strip("\n") + "\n"


def difference(expected: str, found: str, *, same_text: bool, tolerance: float = 0.0021) -> str:
    """Say where two outputs differ, or "".

    Words must agree. Numbers must agree within the tolerance (a rounded third decimal may flip
    either way) when the models read the same text; otherwise they may be any numbers.
    """
    for left, right in zip(expected.splitlines(), found.splitlines(), strict=False):
        words = [_words(line) for line in (left, right)]
        numbers = [_numbers(line) for line in (left, right)]
        near = len(numbers[0]) == len(numbers[1]) and all(
            abs(a - b) <= tolerance * max(1.0, abs(a)) for a, b in zip(*numbers, strict=True)
        )
        if words[0] != words[1] or (same_text and not near):
            return f"the page has {left!r}, the command prints {right!r}"
    if len(expected.splitlines()) != len(found.splitlines()):
        return f"the page has\n{expected}\nthe command prints\n{found}"
    return ""


def _words(line: str) -> str:
    return re.sub(r"\s+", " ", _NUMBER.sub("0", _VOLATILE.sub("", line))).strip()


def _numbers(line: str) -> list[float]:
    return [float(number.replace(",", "")) for number in _NUMBER.findall(_VOLATILE.sub("", line))]


class Recorder(doctest.DocTestRunner):
    """Runs examples and keeps what each one printed."""

    def __init__(self) -> None:
        super().__init__(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
        self.printed: list[str] = []

    def report_success(self, *args: Any) -> None:
        self.printed.append(args[-1])

    def report_failure(self, *args: Any) -> None:
        self.printed.append(args[-1])


def run_examples(page: Path, block: Block, names: dict[str, object]) -> list[tuple[str, str, str]]:
    """Run a python block; return (source, what the page says, what is printed) per example.

    Args:
        page: Names the block in messages.
        block: The block.
        names: Variables, shared by the blocks of a page.
    """
    test = doctest.DocTestParser().get_doctest(block.text, names, page.name, str(page), 0)
    test.globs = names
    recorder = Recorder()
    recorder.run(test, clear_globs=False, out=lambda _: None)
    assert len(recorder.printed) == len(test.examples), (
        f"{page.name}: an example raises:\n{block.text}"
    )
    return [
        (example.source, example.want, got)
        for example, got in zip(test.examples, recorder.printed, strict=True)
    ]
