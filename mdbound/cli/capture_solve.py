"""The solving options of `mdbound capture --solve`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mdbound.cli.flags import flags_of
from mdbound.cli.parsing import parse_floats, parse_names, parse_optional
from mdbound.errors import InvalidSettingError

if TYPE_CHECKING:
    from mdbound.analysis.solving.grid import SolveGrid
    from mdbound.logits_cache.capturing.settings import CaptureSettings
    from mdbound.logits_cache.store.manifest import MassRecord


@dataclass(frozen=True)
class SolveOptions:
    """The options as typed; None or empty where they were left out.

    What `mdbound solve` calls `--temperature` is `--solve-temperature` here, because
    `--temperature` is what answers are sampled at; the other sampling parameters go with it.
    """

    num_drafts: str | None = None
    sampling: Sequence[str] = field(default=())
    solve_temperature: Sequence[str] = field(default=())
    solve_draft_temperature: Sequence[str] = field(default=())
    solve_top_k: Sequence[str] = field(default=())
    solve_top_p: Sequence[str] = field(default=())
    solve_min_p: Sequence[str] = field(default=())

    def refuse(self) -> None:
        """Refuse options about solving in a capture that only records logits.

        Raises:
            InvalidSettingError: Naming the first of them.
        """
        for each in fields(self):
            if getattr(self, each.name):
                option = each.name.replace("_", "-")
                raise InvalidSettingError(f"--{option} is about solving; add --solve RESULTS")

    def grid(self, drafts: Sequence[str]) -> SolveGrid:
        """What to solve for, checked for a capture with the given drafts.

        Raises:
            InvalidSettingError: An option is out of range, or does not fit the drafts.
        """
        from mdbound.analysis.solving.grid import SolveGrid
        from mdbound.analysis.solving.num_drafts import parse_num_drafts

        plain = SolveGrid()
        temperatures = parse_floats(self.solve_temperature, "--solve-temperature")
        grid = SolveGrid(
            sampling=parse_names(self.sampling) or plain.sampling,
            temperatures=temperatures or plain.temperatures,
            draft_temperatures=parse_floats(
                self.solve_draft_temperature, "--solve-draft-temperature"
            ),
            top_k=parse_optional(self.solve_top_k, "--solve-top-k", int) or plain.top_k,
            top_p=parse_optional(self.solve_top_p, "--solve-top-p", float) or plain.top_p,
            min_p=parse_optional(self.solve_min_p, "--solve-min-p", float) or plain.min_p,
            num_drafts=parse_num_drafts(self.num_drafts) if self.num_drafts else plain.num_drafts,
        )
        if drafts:
            # Before models and text are looked at.
            grid.settings(drafts)
        return grid


def capture_and_solve(settings: CaptureSettings, options: SolveOptions, out: Path) -> None:
    """Capture and solve into the results file `out`, with a bar, and a line when it is done."""
    from mdbound.analysis.solving.solve_capture import solve_during_capture
    from mdbound.cli.progress_bar import progress_bar
    from mdbound.cli.solve import command_line, print_unsolved

    # Before the block that words fields as options of solving: these are of the capture.
    settings.check()
    skipping = ["-".join(map(str, layers)) for layers in settings.skip_layers]
    try:
        with (
            flags_of("capture --solve"),
            progress_bar("capture and solve", "positions") as bar,
        ):
            grid = options.grid([*settings.drafts, *skipping])
            summary = solve_during_capture(
                settings,
                grid,
                out,
                command=command_line(),
                on_progress=lambda step: bar.update(
                    step.passages, step.total_passages, step.new_positions
                ),
            )
    except KeyboardInterrupt as error:
        # Typer would turn it into a bare exit status, without a word about resuming.
        raise typer.Abort from error
    typer.echo(f"{summary.path}: {summary.rows:,} rows, {summary.positions:,} positions")
    if summary.resumed:
        typer.echo(f"{summary.resumed:,} positions had been solved before")
    print_unsolved(summary)
    print_notes(summary.turns_left_out, summary.masses_outside)


def print_notes(turns: int, masses: Sequence[MassRecord]) -> None:
    """Say how many later turns were not asked, and what lies on tokens that a side lacks."""
    if turns:
        typer.echo(
            f"{turns:,} later turns of conversations were not asked: no room in the context, or "
            "beyond --max-positions"
        )
    for mass in masses:
        for line in mass_lines(mass):
            typer.echo(line)


def mass_lines(mass: MassRecord) -> Iterator[str]:
    """What each side has on tokens that the other lacks, a line for each that lacks some."""
    if mass.of_target is not None:
        yield f"target: {mass.of_target:.3%} of its probability on tokens that {mass.draft} lacks"
    if mass.of_draft is not None:
        yield f"{mass.draft}: {mass.of_draft:.3%} of its probability on tokens the target lacks"
