"""`mdbound laws`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdbound.cli.show_table import show_table
from mdbound.cli.solve import command_line

EXAMPLE = (
    "Example: mdbound laws caches/smollm2 --num-drafts 1-4 --temperature 0.7,1.0 "
    "--draft-temperature target,0.7,1.0 --out laws"
)


def register(app: typer.Typer) -> None:
    """Add `mdbound laws` to the command line."""
    app.command("laws", epilog=EXAMPLE)(laws)


def laws(
    cache: Annotated[Path, typer.Argument(help="Cache folder written by `capture`.")],
    *,
    num_drafts: Annotated[str, typer.Option(help="Drafted tokens, as in 1-4.")] = "1-4",
    temperature: Annotated[list[str], typer.Option(help="Of the target.")] = ["1.0"],  # noqa: B006
    draft_temperature: Annotated[
        list[str], typer.Option(help="Of the draft; target for the target's.")
    ] = ["target"],  # noqa: B006
    draft: Annotated[str, typer.Option(help="Draft model; the first by default.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Folder for table (CSV, LaTeX, Markdown) and figure.")
    ] = None,
    batch_rows: Annotated[int, typer.Option(help="Positions in memory at a time.")] = 64,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples of the documents.")] = 9999,
    seed: Annotated[int, typer.Option(help="Seed of the resampling.")] = 0,
) -> None:
    """What each way of drafting is worth: a fixed set, or drawn, with, without, greedy.

    Answers why a draft that is taken by argmax can beat its true law, and what drafting at a
    temperature costs: of drawn drafts the optimum over all lossless rules and exact match, of a
    fixed set the target's mass on it, for one pair over temperatures of both.
    """
    from mdbound.analysis.draft_laws.compare_laws import LawGrid, compare_laws
    from mdbound.analysis.draft_laws.law_table import draw_laws, law_table
    from mdbound.analysis.figures.save import write_drawing
    from mdbound.analysis.solving.num_drafts import parse_num_drafts
    from mdbound.analysis.solving.provenance import provenance_of
    from mdbound.analysis.solving.selection import Selection
    from mdbound.analysis.statistics.bootstrap import Bootstrap
    from mdbound.analysis.tables.files import write_table
    from mdbound.analysis.tables.notes import interval_note, provenance_notes
    from mdbound.cli.parsing import parse_floats, parse_optional
    from mdbound.cli.progress_bar import progress_bar
    from mdbound.logits_cache.store.cache import LogitsCache

    grid = LawGrid(
        num_drafts=parse_num_drafts(num_drafts),
        temperatures=parse_floats(temperature, "--temperature"),
        draft_temperatures=parse_optional(
            draft_temperature, "--draft-temperature", float, word="target"
        ),
        draft=draft,
        batch_rows=batch_rows,
    )
    how = Bootstrap(resamples=resamples, seed=seed)
    opened = LogitsCache.open(cache)
    with progress_bar("laws", "positions") as bar:
        found = compare_laws(opened, grid, how, lambda done, total: bar.update(done, total, done))
    command = command_line()
    notes = [
        interval_note(how),
        *provenance_notes(provenance_of(opened, (), Selection(), command)),
    ]
    table = law_table(found, grid.num_drafts, notes)
    show_table(table, notes=False)
    if out is not None:
        files = [*write_table(table, out, "draft-laws")]
        target = opened.manifest.models()[0].source.rsplit("/", 1)[-1]
        held = f"Held fixed: target {target}; draft {draft or opened.draft_names[0]}."
        files += write_drawing(draw_laws(found, grid.num_drafts, held), out)
        for file in files:
            typer.echo(f"wrote {file}")
