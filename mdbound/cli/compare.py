"""`mdbound compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mdbound.cli.report import show_report
from mdbound.cli.show_table import show_table
from mdbound.cli.solve import command_line
from mdbound.errors import InvalidSettingError

if TYPE_CHECKING:
    from mdbound.analysis.tables.comparison import Comparison

EXAMPLE = "Example: mdbound compare results.parquet --out reports/schemes"


def register(app: typer.Typer) -> None:
    """Add `mdbound compare` to the command line."""
    app.command("compare", epilog=EXAMPLE)(compare)


def compare(
    results: Annotated[
        Path,
        typer.Argument(help="Results file of `solve --schemes`, `paths` or `trees`."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the tables; they are only printed without it.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(help="Of `paths`: compare drafts with this one instead, prompt by prompt."),
    ] = None,
    within: Annotated[
        float,
        typer.Option(help="With --against: say how many prompts give an interval of +- this."),
    ] = 0.05,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples of the documents.")] = 9999,
    seed: Annotated[int, typer.Option(help="Seed of the resampling.")] = 0,
) -> None:
    """Compare schemes with the bound: rates, gaps, share of the possible gain, optimal positions.

    Of a file of `paths` the tokens per call of each rule are compared with those of token by token,
    of a file of `trees` the accepted length of each verifier with that of traversal. With --against
    drafts are compared with one of them on the same prompts: differences, win rates, and how many
    prompts a narrower interval takes.
    Intervals are 95%, from a bootstrap over documents; those of gaps, shares and ratios are paired.
    """
    from mdbound.analysis.paths.draft_comparison import compare_drafts
    from mdbound.analysis.paths.path_comparison import compare_paths
    from mdbound.analysis.paths.path_results import holds_paths, open_paths
    from mdbound.analysis.statistics.bootstrap import Bootstrap
    from mdbound.analysis.tables.comparison import compare as compare_results
    from mdbound.analysis.trees.tree_comparison import compare_trees
    from mdbound.analysis.trees.tree_results import holds_trees, open_trees

    how = Bootstrap(resamples=resamples, seed=seed)
    if against is not None:
        if not holds_paths(results):
            raise InvalidSettingError(f"--against is for results of mdbound paths, not {results}")
        show_report(
            compare_drafts(
                open_paths(results),
                against,
                out,
                within=within,
                bootstrap=how,
                command=command_line(),
            )
        )
        return
    if holds_trees(results):
        show_report(compare_trees(open_trees(results), out, bootstrap=how, command=command_line()))
        return
    if holds_paths(results):
        show_report(compare_paths(open_paths(results), out, bootstrap=how, command=command_line()))
        return
    _print(compare_results(results, out, bootstrap=how, command=command_line()))


def _print(comparison: Comparison) -> None:
    for table in comparison.tables:
        show_table(table, notes=table is comparison.tables[-1])
    for file in comparison.files:
        typer.echo(f"wrote {file}")
