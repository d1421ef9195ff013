"""`mdbound speedup`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdbound.cli.show_table import show_table
from mdbound.cli.solve import command_line

EXAMPLE = "Example: mdbound speedup paths.parquet --draft-cost 0.05,0.1 --out speedup"


def register(app: typer.Typer) -> None:
    """Add `mdbound speedup` to the command line."""
    app.command("speedup", epilog=EXAMPLE)(speedup)


def speedup(
    results: Annotated[Path, typer.Argument(help="File written by `paths`.")],
    *,
    draft_cost: Annotated[
        list[str],
        typer.Option(help="Costs of a draft step, over that of a target call of one token."),
    ],
    target_cost: Annotated[
        Path | None,
        typer.Option(
            help="CSV with tokens, cost and, if it matters, batch: measured costs of a target call "
            "by the tokens it verifies. Left out, all calls cost the same."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the table as CSV, LaTeX and Markdown.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Heat map of speed-ups to write: .png, .pdf or .svg.")
    ] = None,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples of the documents.")] = 9999,
    seed: Annotated[int, typer.Option(help="Seed of the resampling.")] = 0,
) -> None:
    """Expected speed-up against the draft length, the best length marked, with its interval."""
    from mdbound.analysis.paths.costs.speedup import expected_speedups
    from mdbound.analysis.paths.costs.speedup_table import speedup_table
    from mdbound.analysis.paths.costs.target_costs import read_target_costs
    from mdbound.analysis.paths.path_results import open_paths
    from mdbound.analysis.statistics.bootstrap import Bootstrap
    from mdbound.analysis.tables.files import write_table
    from mdbound.analysis.tables.notes import interval_note, provenance_notes
    from mdbound.cli.parsing import parse_floats

    opened, how = open_paths(results), Bootstrap(resamples=resamples, seed=seed)
    found = expected_speedups(
        opened,
        parse_floats(draft_cost, "--draft-cost"),
        None if target_cost is None else read_target_costs(target_cost),
        how,
    )
    notes = [interval_note(how), *provenance_notes(opened.provenance, command_line())]
    table = speedup_table(found, notes)
    show_table(table, notes=False)
    if out is not None:
        for file in write_table(table, out, "speedup", [results]):
            typer.echo(f"wrote {file}")
    if figure is not None:
        from mdbound.analysis.figures import write_as
        from mdbound.analysis.figures.path_kinds import draw_speedup_map

        typer.echo(f"wrote {write_as(draw_speedup_map(found), figure)}")
