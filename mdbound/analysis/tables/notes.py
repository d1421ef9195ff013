"""What stands under every table: warnings, counts, capture, commit, versions, seeds, commands."""

from __future__ import annotations

import polars as pl

from mdbound.analysis.solving.results import Provenance
from mdbound.analysis.solving.setting import laws_of_several_distributions
from mdbound.analysis.statistics.bootstrap import FEW_DOCUMENTS, Bootstrap
from mdbound.analysis.statistics.task_means import ALL_TASKS
from mdbound.analysis.tables.table import shown

_CAPTURE_LIMITS = {
    "limit": "{} documents",
    "limit_per_task": "{} documents of each task",
    "max_positions": "{} positions of a document",
}


def table_notes(
    means: pl.DataFrame, provenance: Provenance, how: Bootstrap, command: str = ""
) -> list[str]:
    """Say under a table what was measured, on what, and how to make it again.

    Args:
        means: From `task_means.task_means`.
        provenance: Of the results file.
        how: How the intervals were made.
        command: The command line that writes the table.

    Returns:
        One sentence per line, warnings first.
    """
    widest = means.filter(pl.col("task") == ALL_TASKS)
    counted = widest if not widest.is_empty() else means
    notes = [
        *truncation_notes(provenance),
        *document_notes(means),
        f"{counted['documents'].to_numpy().max()} documents, "
        f"{(counted['positions'] + counted['unsolved']).to_numpy().max()} positions. "
        f"{interval_note(how)}",
        *_scheme_notes(provenance),
    ]
    notes += [
        f"Under the {law} law, n uses the first n of the drafts (models or temperatures) in the "
        "order shown."
        for law in laws_of_several_distributions()
        if (means["sampling"] == law).any()
    ]
    return [*notes, *provenance_notes(provenance, command)]


def interval_note(how: Bootstrap) -> str:
    """How the intervals of a table were made."""
    return (
        f"Intervals: {how.confidence:.0%} studentised bootstrap over documents, "
        f"{how.resamples} resamples, seed {how.seed}."
    )


def provenance_notes(provenance: Provenance, command: str = "") -> list[str]:
    """Where a table's numbers come from: capture, package, surroundings, commands.

    Args:
        provenance: Of the results file.
        command: The command line that writes the table.
    """
    capture = "; ".join(
        f"{key} {shown(value)}" for key, value in provenance.capture.items() if value is not None
    )
    notes = [
        f"Capture {provenance.capture_identity}: {capture}.",
        f"Solved with mdbound {provenance.version}{_environment(provenance)}.",
    ]
    notes += [f"Solved by: {provenance.command}"] if provenance.command else []
    return notes + ([f"Written by: {command}"] if command else [])


def document_notes(means: pl.DataFrame) -> list[str]:
    """Warnings that belong under a table of `task_means`: few documents, unsolved positions.

    Args:
        means: What `task_means` returned.

    Returns:
        Sentences, possibly none.
    """
    notes = []
    counts = means.group_by("task", maintain_order=True).agg(pl.col("documents").max())
    single = counts.filter(pl.col("documents") == 1)["task"].to_list()
    few = counts.filter(pl.col("documents").is_between(2, FEW_DOCUMENTS - 1))
    if single:
        notes.append(
            f"No interval for {', '.join(single)}: one document says nothing about others."
        )
    if not few.is_empty():
        shown = ", ".join(f"{row['task']} ({row['documents']})" for row in few.to_dicts())
        notes.append(
            f"Fewer than {FEW_DOCUMENTS} documents, so the intervals are too narrow to rely on: "
            f"{shown}."
        )
    unsolved = means.filter(pl.col("unsolved") > 0)
    if not unsolved.is_empty():
        notes.append(
            f"{unsolved['unsolved'].to_numpy().max()} positions of a setting met no error bound "
            f"and are left out of its mean ({unsolved.height} cells affected)."
        )
    return notes


def truncation_notes(provenance: Provenance) -> list[str]:
    """Say what was left out of the text or of the capture; nothing for a whole run.

    Example:
        >>> truncation_notes(Provenance("1", "ab", {"max_positions": 32}, []))
        ['TRUNCATED CAPTURE: the first 32 positions of a document.']
    """
    selection = provenance.selection
    notes = []
    if selection.get("limit_per_task") is not None:
        notes.append(
            f"TRUNCATED RUN: the first {selection['limit_per_task']} documents of each task of "
            "the capture."
        )
    if selection.get("tasks"):
        notes.append(f"Tasks: {', '.join(selection['tasks'])}.")
    limits = [
        words.format(provenance.capture[key])
        for key, words in _CAPTURE_LIMITS.items()
        if provenance.capture.get(key) is not None
    ]
    if limits:
        notes.append(f"TRUNCATED CAPTURE: the first {', '.join(limits)}.")
    return notes


def _environment(provenance: Provenance) -> str:
    if not provenance.environment:
        return ""
    return ", " + ", ".join(f"{key} {value}" for key, value in provenance.environment.items())


def _scheme_notes(provenance: Provenance) -> list[str]:
    """Options of the schemes that estimate, once per scheme."""
    seen = {
        setting["scheme"]: setting["scheme_options"]
        for setting in provenance.settings
        if setting.get("scheme_options", {}).get("seed") is not None
    }
    options = [
        f"{name} ({', '.join(f'{key} {value}' for key, value in values.items())})"
        for name, values in seen.items()
    ]
    if not options:
        return []
    return [
        "Rates without an exact algorithm are estimated, with standard errors in the results: "
        f"{', '.join(options)}."
    ]
