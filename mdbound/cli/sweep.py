"""`mdbound sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mdbound.cli.show_table import show_table
from mdbound.cli.solve import command_line

if TYPE_CHECKING:
    from mdbound.analysis.solving.solve_cache import ProgressCallback
    from mdbound.analysis.studies.run_path_study import PathStudyRun
    from mdbound.analysis.studies.run_study import StudyRun
    from mdbound.analysis.studies.study_file import AnyStudy

EXAMPLE = "Example: mdbound sweep study.toml --set limit_per_task=2 --out quick"


def register(app: typer.Typer) -> None:
    """Add `mdbound sweep` to the command line."""
    app.command("sweep", epilog=EXAMPLE)(sweep)


def sweep(
    study: Annotated[Path, typer.Argument(help="Study file (TOML).")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for everything, instead of the study's own.")
    ] = None,
    override: Annotated[
        list[str],
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Replace a value of the file; may be repeated."
        ),
    ] = [],  # noqa: B006  (typer copies it)
) -> None:
    """Run a study: solve a grid of settings, then write results, means and tables.

    The file holds options of `mdbound solve`, or after `command = "paths"` of `mdbound paths`, with
    underscores instead of hyphens, such as `temperature = 0.6`, and any number of table sections
    with name, value, across, where, caption and label.

    Options beat the file, the file beats the defaults. Only what is missing is solved: run again
    after an interruption, or after widening the grid.
    """
    from mdbound.analysis.studies.study_file import read_study
    from mdbound.cli.parsing import parse_overrides
    from mdbound.cli.progress_bar import progress_bar

    overrides = parse_overrides(override)
    if out is not None:
        overrides["out"] = str(out)
    wanted = read_study(study, overrides)
    with progress_bar("sweep", "positions") as bar:
        run = _run(wanted, lambda step: bar.update(step.done, step.total, step.new))
    _print(run)


def _run(wanted: AnyStudy, on_progress: ProgressCallback) -> StudyRun | PathStudyRun:
    from mdbound.analysis.studies.path_study import PathStudy
    from mdbound.analysis.studies.run_path_study import run_path_study
    from mdbound.analysis.studies.run_study import run_study
    from mdbound.analysis.studies.study import Study

    match wanted:
        case PathStudy():
            return run_path_study(wanted, command=command_line(), on_progress=on_progress)
        case Study():
            return run_study(wanted, command=command_line(), on_progress=on_progress)


def _print(run: StudyRun | PathStudyRun) -> None:
    show_table(run.tables[0])
    for file in run.files:
        typer.echo(f"wrote {file}")
    typer.echo(
        f"{run.settings} settings, {run.solved} solved now, {run.settings - run.solved} before"
    )
