"""The tutorial's commands run, and print what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import (
    TUTORIAL,
    Block,
    blocks,
    difference,
    elide,
    reference_text,
    run_command,
    run_examples,
    text_of_the_tutorial,
)


def test_the_tutorial_prints_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("flint")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    same_text = reference_text() == text_of_the_tutorial()
    commands = 0
    for block in blocks(TUTORIAL):
        if block.language == "console":
            found = run_command(block, tmp_path)
            assert not difference(block.output, found, same_text=same_text), block.command
            commands += 1
            continue
        for source, expected, printed in run_examples(TUTORIAL, block, names):
            assert not difference(expected, printed, same_text=same_text), source
    assert commands >= 7


def test_wrong_outputs_are_noticed() -> None:
    right = "bound  0.466  ±0.016\n0.5 positions/s, 3.1 MiB\n"
    assert not difference(right, "bound 0.467 ±0.015\n9.1 positions/s, 4 MiB\n", same_text=True)
    assert difference(right, right.replace("0.466", "0.470"), same_text=True)
    assert difference(right, right.replace("bound", "nss"), same_text=False)
    assert difference(right, right + "more\n", same_text=False)
    assert not difference(right, right.replace("0.466", "0.9"), same_text=False)


def test_output_is_cut_where_the_page_cuts_it() -> None:
    notes = "a\n- Capture 1: x\nwrapped\n- Solved by: y\nwrote f\n"
    assert elide(notes, None) == "a\n...\nwrote f\n"
    assert elide("1\n2\n3\n", 2) == "1\n2\n...\n"


def test_a_command_may_be_typed_over_several_lines() -> None:
    block = Block("console", "$ mdbound a \\\n   b\nprinted\n", 0, None)
    assert block.command == "mdbound a \\\n   b\n"
    assert block.output == "printed\n"
