"""Texts -> rows of the results: both tails and the calls of every rule and draft length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from mdbound import paths
from mdbound.analysis.paths.path_results import PATHS_SCHEMA
from mdbound.analysis.paths.path_setting import EXACT, SAMPLED
from mdbound.analysis.paths.texts import Floats, ScoredText
from mdbound.errors import InvalidDistributionError


@dataclass
class TextCounts:
    """What was met in the texts of a run.

    Attributes:
        texts: Texts counted.
        short: Texts of fewer than two tokens, left out.
        positions: Tokens of all texts, those behind a cut included.
        cuts: Texts that were cut at a token which the target cannot give: rounding flips the last
            token of a top-k or top-p cut.
        weighted: Sums over the texts at each setting whose target they are not of, for every rule
            and draft length, with the words for that target.
    """

    texts: int = 0
    short: int = 0
    positions: int = 0
    cuts: int = 0
    weighted: dict[tuple[object, ...], tuple[str, paths.ReweightedTally]] = field(
        default_factory=dict
    )

    def refuse_foreign_text(self) -> None:
        """Refuse text of which too much cannot be the target's.

        Raises:
            InvalidDistributionError: More than 0.1 % of the positions.
        """
        paths.refuse_many_outside_support(self.cuts, self.positions)

    def refuse_few_in_effect(self) -> None:
        """Refuse laws of the target at which weights leave too few windows in effect.

        Raises:
            InvalidDistributionError: Names the law.
        """
        for law, tally in self.weighted.values():
            try:
                _ = tally.tail_positions
            except InvalidDistributionError as error:
                raise InvalidDistributionError(f"{law}: {error}") from error

    def add(self, text: ScoredText, tally: paths.ReweightedTally) -> None:
        """Add a text's sums to those of the texts before at the same setting."""
        # The draft counts: windows that are weighted alike for two of them are the same windows.
        key = (*text.setting.values(), tally.scheme, tally.draft_length)
        before = self.weighted.get(key)
        self.weighted[key] = text.law, tally if before is None else before[1] + tally


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
    inside = paths.length_inside_support(text.law_logprob)
    if inside < len(text.target_logprob):
        counts.cuts += 1
        text = text.first(inside)
    if inside < 2:
        counts.short += 1
        return pl.DataFrame(schema=dict(PATHS_SCHEMA))
    counts.texts += 1
    if text.sampling_logprob is None:
        rows = _plain_rows(text, rules, lengths)
    else:
        rows = _weighted_rows(text, text.sampling_logprob, rules, lengths, counts)
    shared = {
        "doc_id": text.doc_id,
        "turn": text.turn,
        "task": text.task,
        **text.setting,
        "tokens": inside,
        "finish_reason": text.finish_reason,
    }
    return pl.DataFrame([{**shared, **row} for row in rows], schema=dict(PATHS_SCHEMA))


#: What rows of one path have in the columns of trees.
_OF_PATH: Mapping[str, object] = {"sampling": None, "num_drafts": None}

#: What text at its own law has in the columns of weights, and other text in those of calls.
_NO_WEIGHTS: Mapping[str, object] = {"weights": None, "effective_size": None}
_NO_CALLS: Mapping[str, object] = dict.fromkeys(("starts", "calls", "call_tokens", "tail_calls"))


def _plain_rows(
    text: ScoredText, rules: Sequence[str], lengths: Sequence[int]
) -> list[dict[str, object]]:
    """Columns of text at its own law."""
    tallies = [(_OF_PATH, tally) for tally in _path_tallies(text, rules, lengths)]
    for rule, numbers in text.numbers.items():
        tail = rule.tail(text.target_logprob, text.draft_logprob, numbers, max(lengths))
        columns = rule.columns()
        name, how = str(columns["scheme"]), text.finish_reason
        tallies += [
            (columns, paths.tally_windows(tail[:, :length], name, finish_reason=how))
            for length in lengths
        ]
    return [{**_columns(tally), **_last_level(text, tally), **rule} for rule, tally in tallies]


def _last_level(text: ScoredText, tally: paths.PathTally) -> dict[str, object]:
    """How the last token of windows is taken, and the tail if it is summed."""
    if tally.scheme not in text.last_levels:
        return {"last_level": SAMPLED, **_NO_WEIGHTS}
    windows = paths.last_level_windows(text.last_levels[tally.scheme], tally.draft_length)
    tail = windows.mean(axis=0).tolist() if len(windows) else None
    return {"last_level": EXACT, "tail_positions": tail, **_NO_WEIGHTS}


def _weighted_rows(
    text: ScoredText,
    sampling_logprob: Floats,
    rules: Sequence[str],
    lengths: Sequence[int],
    counts: TextCounts,
) -> list[dict[str, object]]:
    """Columns of text that was written under another law of the target."""
    rows = []
    for scheme in rules:
        levels = text.last_levels.get(scheme)
        for length in lengths:
            tail = weights = sizes = None
            count = max(len(sampling_logprob) - length + 1, 0)
            if count:
                tally = paths.tally_reweighted(
                    text.target_logprob, text.draft_logprob, sampling_logprob, length, scheme,
                    last_levels=levels,
                )  # fmt: skip
                counts.add(text, tally)
                tail = (tally.accepted / count).tolist()
                weights, sizes = tally.weights.tolist(), tally.effective_size.tolist()
            rows.append(
                {
                    "scheme": scheme,
                    "draft_length": length,
                    "positions": count,
                    "tail_positions": tail,
                    "last_level": SAMPLED if levels is None else EXACT,
                    "weights": weights,
                    "effective_size": sizes,
                    **_NO_CALLS,
                    **_OF_PATH,
                }
            )
    return rows


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
