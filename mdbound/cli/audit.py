"""`mdbound audit`."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mdbound.audit.report import AuditReport
    from mdbound.audit.request import AuditRequest

EXAMPLE = "Example: mdbound audit my_package.verify:output_law --num-drafts 1-3"


class Kind(StrEnum):
    """What a rule verifies."""

    POSITION = "position"
    PATH = "path"
    TREE = "tree"


def register(app: typer.Typer) -> None:
    """Add `mdbound audit` to the command line."""
    app.command("audit", epilog=EXAMPLE)(audit)


def audit(
    rule: Annotated[
        str,
        typer.Argument(
            help="MODULE:FUNCTION (its module's code is run), a table of branch probabilities "
            "(.json), a trace (.jsonl), or a rule of ours such as k_seq.",
            show_default=False,
        ),
    ] = "",
    *,
    kind: Annotated[
        Kind | None, typer.Option(help="What the rule verifies; a position by default.")
    ] = None,
    sampler: Annotated[
        bool, typer.Option("--sampler", help="The function draws: it gets a generator, too.")
    ] = False,
    num_drafts: Annotated[
        str,
        typer.Option(
            help="Drafted tokens at a position (1-3 by default), or paths of a tree (2).",
            show_default=False,
        ),
    ] = "",
    sampling: Annotated[
        str,
        typer.Option(
            help="How they are drawn at a position: with_replacement (the default), "
            "without_replacement, greedy, independent, hub_pairs.",
            show_default=False,
        ),
    ] = "",
    length: Annotated[
        str,
        typer.Option(
            help="Drafted tokens along a path (1-3 by default), of a tree of paths (2).",
            show_default=False,
        ),
    ] = "",
    tree: Annotated[
        str | None, typer.Option(help="Topology of a tree, as in 2x2, instead of paths.")
    ] = None,
    tree_sampling: Annotated[
        str,
        typer.Option(
            help="How the children of its nodes are drawn; without_replacement by default.",
            show_default=False,
        ),
    ] = "",
    fractions: Annotated[
        bool, typer.Option("--fractions", help="Give the function rows of fractions, not floats.")
    ] = False,
    tolerance: Annotated[
        float, typer.Option(help="Largest total variation of a law that is rounding.")
    ] = 1e-9,
    runs: Annotated[int, typer.Option(help="Most runs of each problem, of a sampler.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of the runs.")] = 0,
    show: Annotated[bool, typer.Option("--list", help="Show the battery instead.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Is a verifier lossless? Exit status 0: yes; 1: no; 2: cannot say.

    Given its probabilities the answer is exact, over problems made to fail wrong rules, and the
    smallest witness is shown. Given draws or a trace it is a test that accuses a lossless rule
    with probability of at most 0.001.
    """
    from mdbound.analysis.solving.num_drafts import parse_num_drafts
    from mdbound.audit.request import AuditRequest, exit_status

    request = AuditRequest(
        rule=rule,
        kind=None if kind is None else kind.value,
        sampler=sampler,
        num_drafts=parse_num_drafts(num_drafts) if num_drafts else (),
        sampling=sampling,
        lengths=parse_num_drafts(length, "length") if length else (),
        tree=tree,
        tree_sampling=tree_sampling,
        numbers="fraction" if fractions else "float",
        tolerance=tolerance,
        runs=runs,
        seed=seed,
    )
    if show:
        _show(request, as_json)
        return
    reports = []
    for title, run in request.audits(lambda line: typer.echo(line, err=True)):
        reports.append(run())
        if not as_json:
            _print(title, reports[-1])
    if as_json:
        typer.echo(json.dumps([report.as_dict() for report in reports], indent=1))
    raise typer.Exit(exit_status(reports))


def _print(title: str, report: AuditReport) -> None:
    typer.echo(f"{title}: {report}")
    widest = max((len(each.name) for each in report.problems), default=0)
    unit = "total variation" if not any(each.runs for each in report.problems) else "estimated gap"
    typer.echo(f"  {'problem':{widest}}  {unit:>15}  {'accepted':>9}  {'at most':>9}")
    for each in report.problems:
        bound = "" if each.bound is None else f"{each.bound:.6f}"
        mark = "  above what a lossless rule accepts" if each.above_bound else ""
        typer.echo(
            f"  {each.name:{widest}}  {each.total_variation:15.3g}  {each.accepted:9.6f}  "
            f"{bound:>9}{mark}"
        )


def _show(request: AuditRequest, as_json: bool) -> None:
    """The battery: as a table to fill in, or to read."""
    from mdbound.audit.exact.position import position_given
    from mdbound.audit.exact.simpler_models import given_models
    from mdbound.audit.problems.positions import PositionProblem
    from mdbound.audit.table import battery_table

    for title, problems in request.battery():
        positions = [each for each in problems if isinstance(each, PositionProblem)]
        if as_json and positions:
            typer.echo(json.dumps(battery_table(positions), indent=1))
            continue
        given = {
            each.name: position_given(each)
            if isinstance(each, PositionProblem)
            else given_models(each)
            for each in problems
        }
        if as_json:
            typer.echo(json.dumps({title: given}, indent=1))
            continue
        typer.echo(f"{title}: {len(problems)} problems")
        for name, rows in given.items():
            first = [" ".join(_first_row(rows[side])) for side in _SIDES if side in rows]
            typer.echo(f"  {name}: {' | '.join(first)}")


_SIDES = ("target", "draft", "drafts")


def _first_row(rows: Any) -> list[str]:
    """The row of a position, or that of a model at the context."""
    found = rows[""] if isinstance(rows, dict) else rows
    return list(found[0]) if isinstance(found[0], list) else list(found)
