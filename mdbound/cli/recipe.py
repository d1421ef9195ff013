"""`mdbound recipe`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdbound.cli.show_table import show_table
from mdbound.cli.solve import command_line

EXAMPLE = "Example: mdbound recipe khisti2025-temperature --models tiny --out temperature-tiny"


def register(app: typer.Typer) -> None:
    """Add `mdbound recipe` to the command line."""
    app.command("recipe", epilog=EXAMPLE)(recipe)


def recipe(
    name: Annotated[str, typer.Argument(help="As `mdbound recipes` lists it.")],
    models: Annotated[
        str | None,
        typer.Option(help="tiny, smollm2, or a pair of the paper. Default: the paper's first."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for everything. Default: NAME-MODELS.")
    ] = None,
    model_file: Annotated[
        Path | None, typer.Option(help="SmolLM2-135M-Instruct as .gguf, for --models smollm2.")
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(help="Text instead of the usual one, as in `capture`; may be repeated."),
    ] = None,
    documents: Annotated[int | None, typer.Option(help="Most documents of each task.")] = None,
    positions: Annotated[int | None, typer.Option(help="Most positions per document.")] = None,
    capture: Annotated[
        Path | None, typer.Option(help="Folder of the logits. Default: in --out.")
    ] = None,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples of the documents.")] = 9999,
    seed: Annotated[int, typer.Option(help="Seed of the resampling.")] = 0,
) -> None:
    """Run a paper's experiment: capture, solve, tables, figures, its numbers beside ours.

    What is missing from this machine is said before anything is run. Run again, it goes on where
    it stopped; when finished, it changes nothing.
    """
    from mdbound.analysis.recipes import Inputs, RecipeOptions, get_recipe, run_recipe
    from mdbound.analysis.recipes.models import PAPER
    from mdbound.analysis.statistics.bootstrap import Bootstrap
    from mdbound.cli.progress_bar import progress_bar

    chosen = get_recipe(name)
    given = any(each is not None for each in (models, model_file, text, documents, positions))
    inputs = Inputs(models or PAPER, model_file, tuple(text or ()), documents, positions)
    default_out = f"{name}-{inputs.models}" if chosen.models else name
    with progress_bar(name, "positions") as bar:
        run = run_recipe(
            chosen,
            RecipeOptions(
                out=out or Path(default_out),
                inputs=inputs if given or chosen.models else None,
                capture=capture,
                bootstrap=Bootstrap(resamples=resamples, seed=seed),
                command=command_line(),
                on_capture=lambda step: bar.update(
                    step.passages, step.total_passages, step.new_positions
                ),
                on_solve=lambda step: bar.update(step.done, step.total, step.new),
            ),
        )
    show_table(run.table, notes=False)
    for file in run.files:
        typer.echo(f"wrote {file}")
