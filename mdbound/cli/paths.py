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
    from mdbound.analysis.solving.results import Results

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
            "optimum: tails only); gbv and quantile on several paths; or schemes of one position, "
            "such as k_seq and optimal, which verify full trees node by node."
        ),
    ] = ["match,single_draft,block,joint"],  # noqa: B006  (typer copies it)
    num_drafts: Annotated[
        str,
        typer.Option(
            help="Paths of gbv and quantile, children of each node of full trees, as in 1-4."
        ),
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
        list[str],
        typer.Option(
            help="Of the target; that of the text by default. Tails alone at others: windows of "
            "the text are weighted, which is refused where too few are left in effect."
        ),
    ] = [],  # noqa: B006
    top_k: Annotated[
        list[str], typer.Option(help="Likewise, of target and draft; none for no cut.")
    ] = [],  # noqa: B006
    top_p: Annotated[
        list[str], typer.Option(help="Likewise, of target and draft; none for no cut.")
    ] = [],  # noqa: B006
    min_p: Annotated[
        list[str], typer.Option(help="Likewise, of target and draft; none for no cut.")
    ] = [],  # noqa: B006
    last_level: Annotated[
        str,
        typer.Option(
            help="The last token of each window in tail_positions: sampled takes it from the text; "
            "exact sums it over the vocabulary, which has less variance. Calls are the same."
        ),
    ] = "sampled",
    offsets: Annotated[
        Path | None,
        typer.Option(
            help="Offsets of quantile, from `mdbound offsets`; documents that they were chosen on "
            "are left out."
        ),
    ] = None,
    batch_rows: Annotated[int, typer.Option(help="Positions held in memory at a time.")] = 64,
) -> None:
    """Tokens per target call along one drafted path, exactly for every text.

    Every call drafts L tokens and the target verifies them. All there is to know are two numbers a
    token of text that the target wrote: its log-probability under target and draft. Calls are
    expected values over drafts and verification, not simulations; intervals are over documents.
    """
    from mdbound.analysis.offsets.chosen_offsets import read_offsets
    from mdbound.analysis.paths.path_results import open_paths
    from mdbound.analysis.paths.path_setting import LONGEST_DRAFT, PathGrid
    from mdbound.analysis.paths.path_tables import main_table
    from mdbound.analysis.paths.run_paths import run_on_logprobs
    from mdbound.analysis.solving.num_drafts import parse_num_drafts
    from mdbound.cli.parsing import parse_floats, parse_names, parse_optional

    if (cache is None) == (logprobs is None):
        raise InvalidSettingError("give a CACHE folder, or --logprobs FILE")
    lengths = parse_num_drafts(length, "lengths", LONGEST_DRAFT)
    if logprobs is not None:
        laws = (draft, temperature, top_k, top_p, min_p)
        if any(laws) or draft_temperature != ["target"]:
            raise InvalidSettingError(
                "--logprobs are of one target and one draft at one setting; leave out --draft, "
                "--draft-temperature, --temperature, --top-k, --top-p and --min-p"
            )
        if offsets is not None:
            raise InvalidSettingError("--offsets are of quantile, which --logprobs do not have")
        if last_level != "sampled":
            raise InvalidSettingError(
                f"--last-level {last_level}: needs logits of the whole vocabulary, which "
                "--logprobs do not have; take sampled, or give a CACHE"
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
            temperatures=parse_floats(temperature, "--temperature"),
            top_k=parse_optional(top_k, "--top-k", int),
            top_p=parse_optional(top_p, "--top-p", float),
            min_p=parse_optional(min_p, "--min-p", float),
            last_level=last_level,
            offsets=None if offsets is None else read_offsets(offsets),
        )
        summary = _run_on_capture(cache, grid, out, batch_rows)
    results = open_paths(out)
    show_table(main_table(results), notes=False)
    _print_summary(summary, results)


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


def _print_summary(summary: PathsSummary, results: Results) -> None:
    from mdbound.analysis.paths.path_results import effective_sizes
    from mdbound.analysis.paths.path_tables import words
    from mdbound.analysis.paths.run_paths import GIVEN

    typer.echo(f"{summary.path}: {summary.rows:,} rows")
    if summary.law == GIVEN:
        typer.echo(
            "the text was given, not written by the target: calls are those that this text takes, "
            "and say nothing about text of the model"
        )
    for size in effective_sizes(results):
        typer.echo(
            f"{words(size.law)}: weights leave {size.size:,.1f} of {size.windows:,} windows in "
            f"effect at L = {size.draft_length}; contexts are those of the text, and there are no "
            "calls"
        )
    counts = summary.counts
    if counts is None:
        return
    if counts.cuts:
        typer.echo(f"{counts.cuts:,} texts were cut at a token that the target cannot give")
    if counts.short:
        typer.echo(f"{counts.short:,} texts of fewer than 2 tokens were left out")
