"""Results -> one HTML page with tables, figures, provenance and commands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import polars as pl

from mdbound.analysis.figures import FigureOptions, draw_all
from mdbound.analysis.pages.html_page import Commands, Facts, Notes, Page, Section, render_page
from mdbound.analysis.solving.results import BOUND, Provenance, Results, open_results
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.statistics.task_means import ALL_TASKS
from mdbound.analysis.studies.run_study import study_means
from mdbound.analysis.studies.study import SCHEME_VALUES, VALUES
from mdbound.analysis.tables.files import write_text
from mdbound.analysis.tables.notes import table_notes
from mdbound.analysis.tables.table import Table, acceptance_table, shown

#: File name of the page.
PAGE_NAME = "report.html"

_RATES = ("acceptance", "document_acceptance")


def write_html(
    results: Path | str,
    out: Path | str,
    *,
    bootstrap: Bootstrap | None = None,
    command: str = "",
) -> Path:
    """Write `report.html`: it needs no other file and no network; a second run changes nothing.

    Args:
        results: A file written by `mdbound solve` or `mdbound sweep`.
        out: Folder to write to; made when missing.
        bootstrap: How intervals are made; the default when None.
        command: Command line that writes the page, shown on it.

    Returns:
        The page.

    Raises:
        CacheError: The results are missing, damaged or empty.
        MissingDependencyError: matplotlib is not installed.
        OutputError: The folder cannot be written; a page that was there stays.
    """
    opened = open_results(results)
    page = results_page(opened, bootstrap or Bootstrap(), command)
    return write_text(Path(out) / PAGE_NAME, render_page(page))


def results_page(results: Results, bootstrap: Bootstrap, command: str = "") -> Page:
    """Put together the page of a results file.

    Args:
        results: From `mdbound.analysis.solving.results.open_results`.
        bootstrap: How intervals are made.
        command: Command line that writes the page.

    Raises:
        CacheError: There are no rows.
        MissingDependencyError: matplotlib is not installed.
    """
    means = study_means(results.frame, bootstrap)
    drawings = draw_all(results, FigureOptions(bootstrap))
    pooled = means.filter(pl.col("task") == means["task"][0])
    of_tasks = means.filter(pl.col("task") != means["task"][0])
    commands = (results.provenance.command, command)
    return Page(
        f"Multi-draft speculative decoding: {_models(results.provenance)}",
        (_counts(means),),
        (
            Section("Figures", tuple(drawings)),
            Section("Tables", _tables(pooled)),
            Section("Tables per task", () if of_tasks.is_empty() else _tables(of_tasks)),
            *closing_sections(means, results.provenance, bootstrap, commands),
        ),
    )


def closing_sections(
    means: pl.DataFrame,
    provenance: Provenance,
    bootstrap: Bootstrap,
    commands: Iterable[str],
) -> tuple[Section, ...]:
    """What every page ends with: how to read the numbers, where they come from, the commands.

    Args:
        means: From `run_study.study_means`, for counts and warnings.
        provenance: Of the results.
        bootstrap: How the intervals were made.
        commands: Command lines in the order they were run; empty ones and repetitions are left
            out.
    """
    # Commands have a section of their own.
    notes = table_notes(means, replace(provenance, command=""), bootstrap)
    lines = tuple(dict.fromkeys(line for line in commands if line))
    reading = (
        "Below a mean: its interval. Bold: the best of its block; underlined: the second best.",
        *notes,
    )
    return (
        Section("How to read the numbers", (Notes(reading),)),
        Section("Provenance", (_facts(provenance),)),
        Section("Commands", (Commands(lines),) if lines else ()),
    )


def _tables(means: pl.DataFrame) -> tuple[Table, ...]:
    """Acceptance over positions and over documents; with schemes, how far they are from bounds."""
    tables = [acceptance_table(means, (), VALUES[name]) for name in _RATES]
    schemes = means.filter(pl.col("scheme") != BOUND)
    if not schemes.is_empty():
        tables += [acceptance_table(schemes, (), VALUES[name]) for name in SCHEME_VALUES]
    return tuple(tables)


def _models(provenance: Provenance) -> str:
    """Target and drafts in a few words."""
    capture = provenance.capture
    target, drafts = capture.get("target", "unknown"), capture.get("drafts", [])
    names = ", ".join(str(draft).split(" = ")[0] for draft in drafts)
    return f"{Path(str(target)).name} with {names or 'no draft'}"


def _counts(means: pl.DataFrame) -> str:
    tasks = [task for task in means["task"].unique(maintain_order=True) if task != ALL_TASKS]
    positions = (means["positions"] + means["unsolved"]).to_numpy().max()
    laws = means["sampling"].unique(maintain_order=True).str.replace_all("_", " ").to_list()
    schemes = [name for name in means["scheme"].unique(maintain_order=True) if name != BOUND]
    rated = f" Beside them, {len(schemes)} verification schemes." if schemes else ""
    return (
        "Exact optima over all lossless verification rules of the probability that the output "
        f"token is one of n drafted tokens, for drafts {', '.join(laws)}; "
        f"{means['documents'].to_numpy().max()} documents, {positions} positions, "
        f"task{'s' if len(tasks) > 1 else ''} {', '.join(tasks)}.{rated}"
    )


def _facts(provenance: Provenance) -> Facts:
    values = {
        **provenance.capture,
        "capture identity": provenance.capture_identity,
        "settings": len(provenance.settings),
        **{f"selected {key}": value for key, value in provenance.selection.items()},
        "mdbound": provenance.version,
        **provenance.environment,
    }
    return Facts(
        tuple(
            (key.replace("_", " "), shown(value))
            for key, value in values.items()
            if value is not None
        )
    )
