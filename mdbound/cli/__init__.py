"""The `mdbound` command: parses, calls, prints. One module per subcommand.

Nothing heavy is imported before a subcommand runs, so that `mdbound --help` is instant.
"""

from __future__ import annotations

import sys

import typer

from mdbound.cli import (
    audit,
    bracket,
    capture,
    compare,
    demo,
    export,
    figure,
    info,
    laws,
    offsets,
    path_bound,
    paths,
    recipe,
    recipes,
    report,
    solve,
    speedup,
    sweep,
    tree_search,
    trees,
    vectors,
    verify,
)
from mdbound.cli.flags import with_flags
from mdbound.errors import MdboundError

# Newer typer carries its own copy of click, older typer imports it: this is the base either way.
ClickError: type[Exception] = typer.BadParameter.__mro__[2]

INTERRUPTED = 130
"""Exit status after Ctrl-C, by the shells' convention; typer returns it too."""

app = typer.Typer(
    name="mdbound",
    help="Exact limits of multi-draft speculative decoding on real text and models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _module in (
    *(
        capture,
        info,
        solve,
        laws,
        paths,
        trees,
        tree_search,
        offsets,
        path_bound,
        bracket,
        speedup,
        sweep,
        verify,
        audit,
        compare,
        report,
        figure,
        export,
    ),
    *(vectors, recipes, recipe, demo),
):
    _module.register(app)


def main() -> None:
    """Run the command line; every expected failure is one line on stderr and exit status 2."""
    try:
        status = app(standalone_mode=False)
    except MdboundError as error:
        _fail(with_flags(str(error), sys.argv[1] if len(sys.argv) > 1 else ""))
    except ClickError as error:
        _fail(getattr(error, "format_message", error.__str__)())
    except BrokenPipeError:
        _fail("the program that reads the output went away")
    except OSError as error:
        _fail(f"cannot write the output: {error}")
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    if status == INTERRUPTED:
        sys.stderr.write("mdbound: interrupted; finished shards are kept, run again to resume\n")
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str) -> None:
    sys.stderr.write(f"mdbound: {' '.join(message.split())}\n")
    sys.exit(2)
