"""`mdbound report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mdbound.cli.show_table import show_table
from mdbound.cli.solve import command_line
from mdbound.errors import InvalidSettingError

if TYPE_CHECKING:
    from mdbound.analysis.paths.path_tables import PathReport
    from mdbound.analysis.tables.report import Report
    from mdbound.analysis.trees.tree_tables import TreeReport

EXAMPLE = "Example: mdbound report results.parquet --html --out reports/smollm2"


def register(app: typer.Typer) -> None:
    """Add `mdbound report` to the command line."""
    app.command("report", epilog=EXAMPLE)(report)


def report(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULTS",
            help="Results file of `solve`, `paths` or `trees`; of `trees` several, side by side.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write to. Default: named after RESULTS, with -report."),
    ] = None,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples of the documents.")] = 9999,
    seed: Annotated[int, typer.Option(help="Seed of the resampling.")] = 0,
    html: Annotated[
        bool,
        typer.Option("--html", help="Also write one HTML page with tables, figures, provenance."),
    ] = False,
) -> None:
    """Write tables of mean acceptance with 95% intervals as CSV, LaTeX and Markdown.

    With --html, one page that needs no network goes beside them.
    """
    from mdbound.analysis.paths.path_results import holds_paths, open_paths
    from mdbound.analysis.paths.path_tables import write_path_report
    from mdbound.analysis.statistics.bootstrap import Bootstrap
    from mdbound.analysis.tables.report import write_report
    from mdbound.analysis.trees.tree_results import holds_trees, open_trees
    from mdbound.analysis.trees.tree_tables import write_tree_report

    results, beside = files[0], files[1:]
    bootstrap = Bootstrap(resamples=resamples, seed=seed)
    folder = out or results.with_name(f"{results.stem}-report")
    if html and (holds_paths(results) or holds_trees(results)):
        raise InvalidSettingError("--html is for results of `solve`; leave it out")
    if holds_trees(results):
        show_report(
            write_tree_report(
                open_trees(results),
                folder,
                bootstrap=bootstrap,
                command=command_line(),
                beside=[open_trees(each) for each in beside],
            )
        )
        return
    if beside:
        raise InvalidSettingError(f"{results} is not of `trees`: give one file at a time")
    if holds_paths(results):
        show_report(
            write_path_report(
                open_paths(results), folder, bootstrap=bootstrap, command=command_line()
            )
        )
        return
    show_report(write_report(results, folder, bootstrap=bootstrap, command=command_line()))
    if html:
        from mdbound.analysis.pages.html_report import write_html

        page = write_html(results, folder, bootstrap=bootstrap, command=command_line())
        typer.echo(f"wrote {page}")


def show_report(written: Report | PathReport | TreeReport) -> None:
    """Print a report's table, its notes, and where its files are."""
    show_table(written.table)
    for file in written.files:
        typer.echo(f"wrote {file}")
