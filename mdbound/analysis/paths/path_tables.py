"""Tokens per call of each rule against the draft length, with intervals over documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mdbound import paths
from mdbound.analysis.paths.path_results import LAW_COLUMNS, RULE_COLUMNS, effective_sizes
from mdbound.analysis.paths.path_setting import EXACT
from mdbound.analysis.solving.results import Results
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.statistics.task_means import task_means
from mdbound.analysis.tables.files import rounded, write_frame, write_table
from mdbound.analysis.tables.notes import document_notes, interval_note, provenance_notes
from mdbound.analysis.tables.table import LABEL_NAMES, Interval, Row, Table, shown
from mdbound.errors import InvalidSettingError

#: What tells rows of a table apart, besides the task.
GROUP = (*RULE_COLUMNS, *LAW_COLUMNS)

#: What tables are of, as their captions begin.
PER_CALL, AT_POSITIONS = "Tokens per target call", "Tokens of a call that starts at any position"

_POSITIONS_FILE = "tokens_at_positions"

#: What columns are called in tables.
NAMES = {
    **LABEL_NAMES,
    "draft_temperature": "draft temperature",
    "scheme": "verification",
    "num_drafts": "children",
    "draft_length": "L",
}


@dataclass(frozen=True)
class PathReport:
    """What was written.

    Attributes:
        table: Tokens per target call.
        files: The files, in the order written.
    """

    table: Table
    files: tuple[Path, ...]


def has_calls(results: Results) -> bool:
    """Whether any row has calls: not those of weighted text, nor of the coupling optimum."""
    return not results.frame.filter(pl.col("calls").is_not_null()).head(1).collect().is_empty()


def require_calls(results: Results) -> None:
    """Refuse results that have tails alone.

    Raises:
        InvalidSettingError: There are no calls.
    """
    if not has_calls(results):
        raise InvalidSettingError(
            f"{results.path} holds tails and no calls: text is weighted at another setting than it "
            "was written at, or `schemes` are of rules without calls; run again at the text's own "
            "setting, with block or single_draft"
        )


def per_call_means(results: Results, bootstrap: Bootstrap | None = None) -> pl.DataFrame:
    """Tokens per target call, pooled: all tokens over all expected calls; and mean of documents.

    Args:
        results: From `open_paths`.
        bootstrap: How intervals are made.

    Returns:
        As `task_means`, one row per task, rule, laws and draft length; rules without calls have
        none.

    Raises:
        InvalidSettingError: There are no calls.
    """
    require_calls(results)
    rows = results.frame.filter(pl.col("calls").is_not_null())
    return task_means(rows, "call_tokens", (*GROUP, "draft_length"), bootstrap, "calls")


def per_position_means(results: Results, bootstrap: Bootstrap | None = None) -> pl.DataFrame:
    """1 + the accepted length, averaged over positions: what a call would emit that starts there.

    More than tokens per call wherever calls start more often where drafting is bad.
    """
    emitted = pl.col("positions") * (1.0 + pl.col("tail_positions").list.sum())
    rows = results.frame.filter(pl.col("positions") > 0).with_columns(emitted.alias("emitted"))
    return task_means(rows, "emitted", (*GROUP, "draft_length"), bootstrap, "positions")


@dataclass(frozen=True)
class PathValue:
    """What the cells of a table can be.

    Attributes:
        what: First words of the caption.
        means: What computes them, with intervals.
        prefix: Of the columns of the means.
        calls: Whether only results with calls have them.
        file: Name of the file of these means.
    """

    what: str
    means: Callable[[Results, Bootstrap | None], pl.DataFrame]
    prefix: str
    calls: bool
    file: str


#: Every value of a table, by the file name of the table that reports have of it.
PATH_VALUES: Mapping[str, PathValue] = {
    "tokens_per_call": PathValue(PER_CALL, per_call_means, "", True, "tokens_per_call_long"),
    "tokens_per_call_by_document": PathValue(
        f"{PER_CALL}, mean of documents",
        *(per_call_means, "document_", True, "tokens_per_call_long"),
    ),
    "tokens_at_positions": PathValue(
        AT_POSITIONS, per_position_means, "", False, "tokens_at_positions_long"
    ),
}


def write_path_report(
    results: Results,
    out: Path | str,
    *,
    bootstrap: Bootstrap | None = None,
    command: str = "",
    notes: Sequence[str] = (),
) -> PathReport:
    """Write the tables of a file of `mdbound paths`.

    `tokens_per_call` (CSV, LaTeX, Markdown) has pooled tokens per target call, `by_document` the
    mean of documents' ratios, `at_positions` what a call emits that starts at any position, the
    coupling optimum included. `tokens_per_call_long` has a row for each. Results without calls
    have `at_positions` alone.

    Args:
        results: From `open_paths`.
        out: Folder to write to; made when missing.
        bootstrap: How intervals are made; the default when None.
        command: Command line, noted under the tables.
        notes: Sentences that come first under them.

    Raises:
        CacheError: The results are empty.
        OutputError: The folder cannot be written; files that were there stay.
    """
    how = bootstrap or Bootstrap()
    out = Path(out)
    positions = rounded(per_position_means(results, how))
    below = [*notes, *document_notes(positions), *path_notes(results, how, command)]
    at_positions = path_table(positions, AT_POSITIONS, below)
    if not has_calls(results):
        return PathReport(
            at_positions, tuple(write_table(at_positions, out, _POSITIONS_FILE, [results.path]))
        )
    calls = rounded(per_call_means(results, how))
    table = path_table(calls, PER_CALL, below)
    by_document = path_table(calls, f"{PER_CALL}, mean of documents", below, "document_")
    files = [
        *write_table(table, out, "tokens_per_call", [results.path]),
        *write_table(by_document, out, "tokens_per_call_by_document", [results.path]),
        *write_table(at_positions, out, _POSITIONS_FILE, [results.path]),
        *write_frame(calls, out, "tokens_per_call_long", (table.caption, *below), [results.path]),
    ]
    return PathReport(table, tuple(files))


def main_table(results: Results) -> Table:
    """Tokens per call; of results without calls, tokens of a call that starts at any position."""
    if has_calls(results):
        return path_table(per_call_means(results), PER_CALL)
    return path_table(per_position_means(results), AT_POSITIONS)


def path_notes(results: Results, bootstrap: Bootstrap, command: str = "") -> list[str]:
    """What every table of results says below: texts, how tails are had, intervals, provenance."""
    return [
        *_texts_notes(results),
        *_tails_notes(results),
        interval_note(bootstrap),
        *provenance_notes(results.provenance, command),
    ]


def path_table(
    means: pl.DataFrame,
    what: str,
    notes: Sequence[str] = (),
    prefix: str = "",
    *,
    across: str = "draft_length",
    label: str = "",
) -> Table:
    """Draft lengths across, a row per task, rule and laws; what is the same everywhere above it.

    Args:
        means: From `per_call_means` or `per_position_means`.
        what: First words of the caption.
        notes: Provenance and warnings.
        prefix: `"document_"` for the mean of documents.
        across: Another column to run across, with draft lengths among the rows.
        label: To refer to the table by in LaTeX.
    """
    labels, constant = _labels_and_constants(means, across)
    columns = means[across].unique(maintain_order=True).to_list()
    if across == "draft_length":
        columns.sort()
    rows: list[Row] = []
    ends = ("mean" if not prefix else "document_mean", f"{prefix}low", f"{prefix}high")
    for group in means.partition_by(labels, maintain_order=True):
        cells = {at: Interval(*values) for at, *values in group.select(across, *ends).rows()}
        first = group.row(0, named=True)
        rows.append(
            (
                tuple(label_of(name, first[name]) for name in labels),
                tuple(cells.get(at, Interval(None)) for at in columns),
            )
        )
    with_constants = f" ({', '.join(constant)})" if constant else ""
    over = "number L of drafted tokens" if across == "draft_length" else NAMES[across]
    return Table(
        caption=f"{what}, for each {over}{with_constants}.",
        labels=tuple(NAMES[name] for name in labels),
        values=tuple(_column_title(across, at) for at in columns),
        rows=tuple(rows),
        notes=tuple(notes),
        label=label,
    )


def _labels_and_constants(means: pl.DataFrame, across: str) -> tuple[list[str], list[str]]:
    """Columns that tell rows apart, and what the caption says of those that do not."""
    names = [name for name in (*GROUP, "draft_length") if name != across]
    varying = [name for name in names if means[name].n_unique() > 1]
    of_laws = [name for name in varying if name in LAW_COLUMNS]
    rule = [] if across == "scheme" else ["scheme"]
    labels = list(dict.fromkeys(["task", *of_laws, *rule, *varying]))
    constant = [
        f"{NAMES[name]} {means[name][0]}"
        for name in names
        if name not in labels and means[name][0] is not None
    ]
    return labels, constant


def _column_title(across: str, value: object) -> str:
    return label_of(across, value) if across == "scheme" else f"{NAMES[across]} = {shown(value)}"


def label_of(name: str, value: object) -> str:
    """What a table shows of a column of the results; nothing where a rule of one path has none."""
    if name in RULE_COLUMNS:
        return "" if value is None else rule_title(str(value))
    return shown(value)


def rule_title(scheme: str) -> str:
    """What a table calls a rule of one path; other names are what they are.

    Example:
        >>> rule_title("block"), rule_title("k_seq")
        ('block verification', 'k_seq')
    """
    return paths.path_rule(scheme).title if scheme in paths.names() else scheme


def _tails_notes(results: Results) -> list[str]:
    """How tails over positions are had, where it is not from the text as it is."""
    exact = (
        results.frame.filter(pl.col("last_level") == EXACT)
        .select(pl.col("scheme").unique(maintain_order=True))
        .collect()["scheme"]
        .to_list()
    )
    notes = []
    if exact:
        notes.append(
            f"At positions, the last token is summed over the vocabulary for {', '.join(exact)}."
        )
    notes += [
        f"Weighted to {words(size.law)}, at contexts of the text's own law: tails only, "
        f"{size.size:,.1f} of {size.windows:,} windows left in effect at L = {size.draft_length}."
        for size in effective_sizes(results)
    ]
    return notes


def words(law: Mapping[str, object]) -> str:
    """A law of the target as notes call it.

    Example:
        >>> words({"temperature": 0.7, "top_k": 50})
        'temperature 0.7, top-k 50'
    """
    return ", ".join(f"{LABEL_NAMES[name]} {shown(value)}" for name, value in law.items())


def _texts_notes(results: Results) -> list[str]:
    """How many texts there are, how many their limit cut, and the starts that this leaves."""
    texts = results.frame.group_by("doc_id", "turn", "draft").agg(
        pl.col("finish_reason").first(), pl.col("tokens").first(), pl.col("starts").min()
    )
    per_draft = texts.group_by("draft", maintain_order=True).agg(
        pl.len(), (pl.col("finish_reason") == "length").sum().alias("cut"),
        pl.col("tokens").sum(), pl.col("starts").sum(),
    ).collect()  # fmt: skip
    _, count, cut, tokens, starts = per_draft.row(0)
    law = results.provenance.capture.get("law", "")
    if not has_calls(results):
        return [f"Law of the text: {law}.", f"{count:,} texts of {tokens:,} tokens."]
    return [
        f"Law of the text: {law}.",
        f"{count:,} texts of {tokens:,} tokens; {cut:,} ended by their limit: of these the calls "
        f"are counted that start more than L tokens before the end, which leaves {starts:,} "
        "positions where calls may start at the largest L.",
    ]
