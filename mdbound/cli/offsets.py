"""`mdbound offsets`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = (
    "Example: mdbound offsets caches/smollm2 --draft skip-14-20 --num-drafts 2-4 --length 3,4,8 "
    "--out offsets.json"
)


def register(app: typer.Typer) -> None:
    """Add `mdbound offsets` to the command line."""
    app.command("offsets", epilog=EXAMPLE)(offsets)


def offsets(
    cache: Annotated[Path, typer.Argument(help="Cache with the target's own answers.")],
    out: Annotated[Path, typer.Option(help="File to write (JSON).")],
    num_drafts: Annotated[str, typer.Option(help="Numbers of paths, as in 2-4.")] = "2-4",
    length: Annotated[str, typer.Option(help="Tokens of a path, as in 3,4,8.")] = "1-8",
    draft: Annotated[
        str | None, typer.Option(help="Draft model; may be left out where there is one.")
    ] = None,
    draft_temperature: Annotated[
        float | None, typer.Option(help="Of the draft; that of the target by default.")
    ] = None,
    batch_rows: Annotated[int, typer.Option(help="Positions held in memory at a time.")] = 64,
) -> None:
    """Choose the offsets of quantile-score selection on one half of the documents of a capture.

    The file goes to `mdbound paths` and `mdbound trees` as --offsets, which leave out the
    documents that it was chosen on, and keep it with their results.
    """
    from mdbound.analysis.offsets.chosen_offsets import write_offsets
    from mdbound.analysis.paths.choosing.choose_offsets import choose_offsets
    from mdbound.analysis.paths.path_setting import LONGEST_DRAFT
    from mdbound.analysis.solving.num_drafts import parse_num_drafts
    from mdbound.cli.progress_bar import progress_bar
    from mdbound.logits_cache.store.cache import LogitsCache

    with progress_bar("offsets", "positions") as bar:
        chosen = choose_offsets(
            LogitsCache.open(cache),
            parse_num_drafts(num_drafts),
            parse_num_drafts(length, "lengths", LONGEST_DRAFT),
            draft=draft,
            draft_temperature=draft_temperature,
            batch_rows=batch_rows,
            on_progress=lambda step: bar.update(step.done, step.total, step.new),
        )
    write_offsets(chosen, out)
    for shape in chosen.shapes:
        typer.echo(
            f"{shape.num_paths} paths of {shape.length} tokens: {shape.kind}, a = {shape.share:g}, "
            f"E tau {shape.expected_length:.3f} where it was chosen"
        )
    typer.echo(f"{out}: chosen on {len(chosen.documents)} documents, spread {chosen.spread:.3f}")
