"""`mdbound export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdbound.errors import InvalidSettingError, refuse_unknown

EXAMPLE = "Example: mdbound export vllm paths.parquet --scheme block --length 4"

SIMULATOR = "simulator"


def register(app: typer.Typer) -> None:
    """Add `mdbound export` to the command line."""
    app.command("export", epilog=EXAMPLE)(export)


def export(
    engine: Annotated[
        str, typer.Argument(help="vllm, llama-cpp, sglang, or simulator (JSON lines).")
    ],
    source: Annotated[
        Path, typer.Argument(help="Results of `paths`; for simulator a cache folder.")
    ],
    *,
    length: Annotated[int, typer.Option(help="Drafted tokens L.")],
    scheme: Annotated[str, typer.Option(help="Rule, as in the results.")] = "block",
    draft: Annotated[str | None, typer.Option(help="Draft, where there are several.")] = None,
    num_drafts: Annotated[
        int | None, typer.Option(help="Paths or children n, of rules that have several.")
    ] = None,
    draft_temperature: Annotated[
        float | None, typer.Option(help="Of the draft, where there are several.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; printed when left out.")] = None,
    seed: Annotated[int, typer.Option(help="Of the lengths drawn for simulator.")] = 0,
) -> None:
    """Acceptance as serving engines and simulators take it, for load tests without the models.

    Rates are over calls, as engines count them: P(the first l drafted tokens are accepted).
    """
    from mdbound.analysis.serving.acceptance_rates import acceptance_rates
    from mdbound.analysis.serving.engines import ENGINES, engine_text
    from mdbound.analysis.tables.files import write_text

    refuse_unknown([engine], [*ENGINES, SIMULATOR], "engine")
    if engine == SIMULATOR:
        if num_drafts is not None:
            raise InvalidSettingError("simulator takes rules of one path; leave out --num-drafts")
        text = _trace(source, scheme, length, draft, draft_temperature, seed)
    else:
        from mdbound.analysis.paths.path_results import open_paths

        where = {
            "scheme": scheme,
            "draft_length": length,
            "draft": draft,
            "num_drafts": num_drafts,
            "draft_temperature": draft_temperature,
        }
        text = engine_text(engine, acceptance_rates(open_paths(source), where))
    if out is None:
        typer.echo(text, nl=False)
    else:
        typer.echo(f"wrote {write_text(out, text)}")


def _trace(
    cache: Path,
    scheme: str,
    length: int,
    draft: str | None,
    draft_temperature: float | None,
    seed: int,
) -> str:
    from mdbound.analysis.paths.path_setting import PathGrid
    from mdbound.analysis.paths.run_paths import settings_of
    from mdbound.analysis.serving.simulator_trace import simulator_lines
    from mdbound.logits_cache.store.cache import LogitsCache

    opened = LogitsCache.open(cache)
    grid = PathGrid(
        lengths=(length,),
        schemes=(scheme,),
        drafts=() if draft is None else (draft,),
        draft_temperatures=(draft_temperature,),
    )
    settings = settings_of(opened, grid)
    if len(settings) > 1:
        names = ", ".join(each.draft for each in settings)
        raise InvalidSettingError(f"--draft: choose one of {names}")
    lines = simulator_lines(opened, settings[0], scheme, length, seed)
    return "".join(f"{line}\n" for line in lines)
