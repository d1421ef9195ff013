"""Run the tutorial and write what it prints into the page: `python -m tests.docs.regenerate`."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from tests.docs.pages import (
    TUTORIAL,
    Block,
    blocks,
    reference_text,
    run_command,
    run_examples,
    with_text,
)


def main() -> None:
    page = TUTORIAL.read_text(encoding="utf-8")
    names: dict[str, object] = {}
    replaced: list[tuple[Block, str]] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for block in blocks(TUTORIAL):
            if block.language == "console":
                new = "$ " + block.command + run_command(block, Path(folder))
            else:
                new = _with_outputs(block, names)
            replaced.append((block, new))
    for block, new in reversed(replaced):
        page = page[: block.start] + new + page[block.start + len(block.text) :]
    TUTORIAL.write_text(with_text(page, reference_text()), encoding="utf-8")


def _with_outputs(block: Block, names: dict[str, object]) -> str:
    text = ""
    for source, _, printed in run_examples(TUTORIAL, block, names):
        first, *rest = source.splitlines()
        text += "\n".join([f">>> {first}", *(f"... {line}" for line in rest)]) + "\n" + printed
    return text + "\n"


if __name__ == "__main__":
    main()
