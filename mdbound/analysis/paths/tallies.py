"""Texts -> rows of the results: both tails and the calls of every rule and draft length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from mdbound import paths
from mdbound.analysis.paths.path_results import PATHS_SCHEMA
from mdbound.analysis.paths.texts import ScoredText


@dataclass
class TextCounts:
    """What was met in the texts of a run.

    Attributes:
        texts: Texts counted.
        short: Texts of fewer than two tokens, left out.
        positions: Tokens of all texts, those behind a cut included.
        cuts: Texts that were cut at a token which the target cannot give: rounding flips the last
            token of a top-k or top-p cut.
    """

    texts: int = 0
    short: int = 0
    positions: int = 0
    cuts: int = 0

    def refuse_foreign_text(self) -> None:
        """Refuse text of which too much cannot be the target's.

        Raises:
            InvalidDistributionError: More than 0.1 % of the positions.
        """
        paths.refuse_many_outside_support(self.cuts, self.positions)


def tally_rows(
    text: ScoredText, rules: Sequence[str], lengths: Sequence[int], counts: TextCounts
) -> pl.DataFrame:
    """Rows of one text; none if it is too short.

    Args:
        text: The text, with its rules on trees.
        rules: Rules of one path.
        lengths: Draft lengths.
        counts: Updated.

    Raises:
        InvalidDistributionError: Values that are no log-probabilities, with document and position.
    """
    counts.positions += len(text.target_logprob)
    inside = paths.length_inside_support(text.target_logprob)
    if inside < len(text.target_logprob):
        counts.cuts += 1
        text = text.first(inside)
    if inside < 2:
        counts.short += 1
        return pl.DataFrame(schema=dict(PATHS_SCHEMA))
    counts.texts += 1
    tallies = [(_OF_PATH, tally) for tally in _path_tallies(text, rules, lengths)]
    for rule, numbers in text.numbers.items():
        tail = rule.tail(text.target_logprob, text.draft_logprob, numbers, max(lengths))
        columns = rule.columns()
        name, how = str(columns["scheme"]), text.finish_reason
        tallies += [
            (columns, paths.tally_windows(tail[:, :length], name, finish_reason=how))
            for length in lengths
        ]
    shared = {
        "doc_id": text.doc_id,
        "turn": text.turn,
        "task": text.task,
        **text.setting,
        "tokens": inside,
        "finish_reason": text.finish_reason,
    }
    rows = [{**shared, **_columns(tally), **rule} for rule, tally in tallies]
    return pl.DataFrame(rows, schema=dict(PATHS_SCHEMA))


#: What rows of one path have in the columns of trees.
_OF_PATH: Mapping[str, object] = {"sampling": None, "num_drafts": None}


def _path_tallies(
    text: ScoredText, rules: Sequence[str], lengths: Sequence[int]
) -> list[paths.PathTally]:
    if not rules:
        return []
    return paths.tally_texts(
        text.target_logprob,
        text.draft_logprob,
        lengths,
        rules,
        finish_reason=text.finish_reason,
        document=text.name,
    )


def _columns(tally: paths.PathTally) -> dict[str, object]:
    calls = None if not tally.calls else tally.tail_calls.tolist()
    return {
        "scheme": tally.scheme,
        "draft_length": tally.draft_length,
        "positions": tally.positions,
        "starts": tally.starts,
        "calls": tally.calls,
        "call_tokens": tally.tokens,
        "tail_positions": tally.tail_positions.tolist() if tally.positions else None,
        "tail_calls": calls,
    }
