"""Only the command line words a flag: the library names fields, and each has its flag here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

import mdbound
from mdbound import cli
from mdbound.cli import flags
from mdbound.errors import CacheError, InvalidSettingError

PACKAGE = Path(mdbound.__file__).parent

OF_OTHERS = {
    "analysis/figures/save.py": {"--{"},  # a variable of CSS
    "analysis/recipes/models.py": {"--extract", "--no-deps"},  # of Python and pip
    "analysis/solving/environment.py": {"--always", "--dirty", "--tags"},  # of git
    "analysis/serving/engines.py": {  # of llama.cpp and SGLang
        *("--spec-draft-n-max", "--spec-synthetic-acceptance-rates"),
        *("--speculative-eagle-topk", "--speculative-num-draft-tokens"),
        "--speculative-num-steps",
    },
    # A command line of its own, which made the bundled models, and their card that quotes it.
    "logits_cache/tiny/model_card.py": {
        *("--draft-steps", "--out", "--seed", "--target-steps", "--threads"),
    },
    "logits_cache/tiny/train.py": {
        *("--draft-steps", "--minutes", "--out", "--seed", "--target-steps", "--threads"),
    },
}
"""Words that look like flags and are none of the command line's, by file."""

NO_OPTIONS = {"confidence", "draft_temperature_sets", "first"}
"""Fields that messages name and that no option sets: functions and studies take them."""


def literals(file: Path) -> Iterator[str]:
    """Texts of a module that can reach a user: not docstrings; `{` stands for what is put in."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    inside = {
        id(part)
        for node in ast.walk(tree)
        for part in ([node.value] if isinstance(node, ast.Expr) else getattr(node, "values", []))
        if isinstance(node, ast.Expr | ast.JoinedStr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "{" for part in node.values
            )
        elif isinstance(node, ast.Constant) and id(node) not in inside:
            yield str(node.value)


def worded_flags(package: Path) -> dict[str, set[str]]:
    """What looks like a flag in the texts of the library, by file."""
    found: dict[str, set[str]] = {}
    for file in sorted(package.rglob("*.py")):
        if file.relative_to(package).parts[0] == "cli":
            continue
        words = {word for text in literals(file) for word in re.findall(r"--[a-z{][a-z-]*", text)}
        if words:
            found[file.relative_to(package).as_posix()] = words
    return found


def test_the_library_words_no_flag() -> None:
    assert worded_flags(PACKAGE) == OF_OTHERS


@pytest.mark.parametrize(
    "planted", ['"give --out"', 'f"--{name} is 0"', 'f"{name}: give --num-drafts"', '"a" "--b"']
)
def test_a_planted_flag_is_found(planted: str, tmp_path: Path) -> None:
    file = tmp_path / "bounds" / "checks.py"
    file.parent.mkdir()
    file.write_text(f'"""A page on --out."""\nraise ValueError({planted})\n', encoding="utf-8")
    assert list(worded_flags(tmp_path)) == ["bounds/checks.py"]
    file.write_text('"""A page on --out."""\n', encoding="utf-8")
    assert worded_flags(tmp_path) == {}


def test_every_field_that_a_message_names_has_a_flag() -> None:
    named = {
        field
        for room in ("analysis", "logits_cache")
        for file in (PACKAGE / room).rglob("*.py")
        if file.parent.name != "tiny"  # the card of the bundled models
        for text in literals(file)
        for field in re.findall(r"`(\w+)`", text)
    }
    assert len(named) > 25
    assert named - set(flags.FLAGS) == NO_OPTIONS


def test_every_flag_is_an_option() -> None:
    commands = typer.main.get_command(cli.app).commands
    options = {
        option for command in commands.values() for each in command.params for option in each.opts
    }
    ours = [*flags.FLAGS.values(), *(v for of in flags._OF_COMMAND.values() for v in of.values())]
    assert {flag for flag in ours if not flag.startswith("`")} <= options
    solving = flags._OF_COMMAND["capture --solve"].values()
    assert set(solving) <= {o for each in commands["capture"].params for o in each.opts}


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("solve", "--temperature 1: give --out"),
        ("capture --solve", "--solve-temperature 1: give --solve"),
        ("sweep", "temperature 1: give out"),
    ],
)
def test_fields_become_what_the_command_calls_them(command: str, words: str) -> None:
    assert flags.with_flags("`temperatures` 1: give `out`", command) == words


def test_what_is_no_option_stays() -> None:
    text = "`first` 2 in `mdbound solve`"
    assert flags.with_flags(text, "solve") == text


def test_errors_of_a_block_keep_their_class_and_cause() -> None:
    wanted = pytest.raises(CacheError, match="give another --solve")
    with wanted as refused, flags.flags_of("capture --solve"):
        raise CacheError("give another `out`")
    assert isinstance(refused.value.__cause__, CacheError)


def test_an_error_lists_its_fields() -> None:
    assert InvalidSettingError("`top_k` 0: see `top_p`, `mdbound solve`").fields == (
        "top_k",
        "top_p",
    )
