"""`mdbound paths`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mdbound.cli.show_table import show_table
from mdbound.cli.solve import command_line
from mdbound.errors import InvalidSettingError

if TYPE_CHECKING:
    from mdbound.analysis.paths.path_setting import PathGrid
    from mdbound.analysis.paths.run_paths import PathsSummary

EXAMPLE = "Example: mdbound paths caches/smollm2 --length 1-8 --out paths.parquet"


def register(app: typer.Typer) -> None:
    """Add `mdbound paths` to the command line."""
    app.command("paths", epilog=EXAMPLE)(paths)


def paths(
    cache: Annotated[Path | None, typer.Argument(help="Cache folder written by `capture`.")] = None,
    *,
    out: Annotated[Path, typer.Option(help="File to write (Parquet).")],
    logprobs: Annotated[
        Path | None,
        typer.Option(
            help="Instead of CACHE: log-probabilities of texts, a JSON object a line with "
            "target_logprobs, draft_logprobs, id and finish_reason."
        ),
    ] = None,
    length: Annotated[str, typer.Option(help="Drafted tokens before a call, as in 1-8.")] = "1-8",
    schemes: Annotated[
        list[str],
        typer.Option(
            help="match, single_draft (SpS), block (ASpS is the same), joint (the coupling "
            "optimum: tails only); gbv on several paths; or schemes of one position, such as k_seq "
            "and optimal, which verify full trees node by node."
        ),
    ] = ["match,single_draft,block,joint"],  # noqa: B006  (typer copies it)
    num_drafts: Annotated[
        str, typer.Option(help="Paths of gbv, children of each node of full trees, as in 1-4.")
    ] = "2",
    sampling: Annotated[
        list[str], typer.Option(help="Draft laws of the children, for the scheme optimal.")
    ] = ["with_replacement"],  # noqa: B006
    draft: Annotated[
        list[str], typer.Option(help="Draft models; all of the cache by default.")
    ] = [],  # noqa: B006
    draft_temperature: Annotated[
        list[str], typer.Option(help="Draft temperatures, or target for its own.")
    ] = ["target"],  # noqa: B006
    temperature: Annotated[
        float | None,
        typer.Option(help="Of the target; needed for text that was given, else that of the text."),
    ] = None,
    batch_rows: Annotated[int, typer.Option(help="Positions held in memory at a time.")] = 64,
) -> None:
    """Tokens per target call along one drafted path, exactly for every text.

    Every call drafts L tokens and the target verifies them. All there is to know are two numbers a
    token of text that the target wrote: its log-probability under target and draft. Calls are
    expected values over drafts and verification, not simulations; intervals are over documents.
    """
    from mdbound.analysis.paths.path_results import open_paths
    from mdbound.analysis.paths.path_setting import PathGrid
    from mdbound.analysis.paths.path_tables import path_table, per_call_means
    from mdbound.analysis.paths.run_paths import run_on_logprobs
    from mdbound.analysis.solving.num_drafts import parse_num_drafts
    from mdbound.bounds import Warpers
    from mdbound.cli.parsing import parse_names, parse_optional

    if (cache is None) == (logprobs is None):
        raise InvalidSettingError("give a CACHE folder, or --logprobs FILE")
    lengths = parse_num_drafts(length)
    if logprobs is not None:
        if draft or draft_temperature != ["target"] or temperature is not None:
            raise InvalidSettingError(
                "--logprobs are of one target and one draft; leave out --draft, "
                "--draft-temperature and --temperature"
            )
        summary = run_on_logprobs(
            logprobs, out, schemes=parse_names(schemes), lengths=lengths, command=command_line()
        )
    else:
        assert cache is not None
        grid = PathGrid(
            lengths=lengths,
            schemes=parse_names(schemes),
            num_drafts=parse_num_drafts(num_drafts),
            sampling=parse_names(sampling),
            drafts=parse_names(draft),
            draft_temperatures=parse_optional(
                draft_temperature, "--draft-temperature", float, "target"
            ),
            warpers=None if temperature is None else Warpers(temperature),
        )
        summary = _run_on_capture(cache, grid, out, batch_rows)
    results = open_paths(out)
    show_table(path_table(per_call_means(results), "Tokens per target call"), notes=False)
    _print_summary(summary)


def _run_on_capture(cache: Path, grid: PathGrid, out: Path, batch_rows: int) -> PathsSummary:
    from mdbound.analysis.paths.run_paths import run_on_capture
    from mdbound.cli.progress_bar import progress_bar
    from mdbound.logits_cache.store.cache import LogitsCache

    with progress_bar("paths", "positions") as bar:
        return run_on_capture(
            LogitsCache.open(cache),
            grid,
            out,
            batch_rows=batch_rows,
            command=command_line(),
            on_progress=lambda step: bar.update(step.done, step.total, step.new),
        )


def _print_summary(summary: PathsSummary) -> None:
    from mdbound.analysis.paths.run_paths import GIVEN

    typer.echo(f"{summary.path}: {summary.rows:,} rows")
    if summary.law == GIVEN:
        typer.echo(
            "the text was given, not written by the target: calls are those that this text takes, "
            "and say nothing about text of the model"
        )
    counts = summary.counts
    if counts is None:
        return
    if counts.cuts:
        typer.echo(f"{counts.cuts:,} texts were cut at a token that the target cannot give")
    if counts.short:
        typer.echo(f"{counts.short:,} texts of fewer than 2 tokens were left out")
