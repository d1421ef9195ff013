"""The command line as a whole: quick to start, an example everywhere, one line per failure."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer.main

from mdbound import cli

COMMANDS = sorted(typer.main.get_command(cli.app).commands)
HEAVY = {"numpy", "numba", "polars", "pyarrow", "scipy", "torch", "transformers", "matplotlib"}


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "mdbound", *arguments], capture_output=True, text=True, check=False
    )


def test_help_imports_nothing_heavy():
    code = f"import sys, mdbound.cli; print(sorted({HEAVY!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(command):
    done = run(command, "--help")
    assert done.returncode == 0
    assert f"Example: mdbound {command}" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-command"], "No such command 'no-such-command'"),
        (["info"], "Missing argument 'cache'"),
        (["info", "no/such/cache"], "no/such/cache"),
        (["solve", "--no-such-option"], "--no-such-option"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(arguments, message):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("mdbound: ")
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr


def test_interruption_says_how_to_go_on(monkeypatch, capsys):
    def interrupted(**options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", interrupted)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 130
    assert "run again to resume" in capsys.readouterr().err
