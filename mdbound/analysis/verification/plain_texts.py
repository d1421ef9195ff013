"""Drawn texts of `paths` by other roads: plain softmax, windows token by token, exact sums."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from mdbound.analysis.paths.capture_logprobs import batch_logprobs, columns_of
from mdbound.analysis.paths.path_setting import EXACT, PathSetting
from mdbound.analysis.paths.texts import ScoredText
from mdbound.analysis.paths.tokens_before import level_columns
from mdbound.analysis.paths.tree_rules import TreeRule
from mdbound.analysis.verification.outcome import Record
from mdbound.analysis.verification.plain_rows import Floats, plain_distribution
from mdbound.analysis.verification.text_oracle import (
    TAILS,
    expected_total,
    last_level,
    window_tails,
)
from mdbound.logits_cache.store.cache import LogitsBatch, LogitsCache
from mdbound.logits_cache.store.manifest import ShardInfo

TAILS_OF_TEXTS, CALLS = "tails", "calls"

ALLOWED = 1e-9
"""Relative, of tails, weights and calls from another softmax: a product of L ratios, each good to
about 1e-13, over the smallest tail that floats tell from 0."""


class PlainRows:
    """Numbers of a capture's tokens from `plain_distribution`, as `texts_of` takes them.

    Args:
        cache: The capture.
        setting: The laws.
        rules: Rules of several paths, whose numbers are the library's own.
        exact: Rules of one path whose last level is summed.
        length: The longest L.
        documents: Those that are wanted; of others the numbers are NaN.
    """

    def __init__(
        self,
        cache: LogitsCache,
        setting: PathSetting,
        rules: Sequence[TreeRule],
        exact: Sequence[str],
        length: int,
        documents: Collection[int],
    ) -> None:
        self._cache, self._setting, self._rules, self._exact = cache, setting, rules, exact
        self._length, self._documents = length, documents
        self._before: deque[tuple[float, float]] = deque(maxlen=length)
        self._last: tuple[int, int] | None = None

    def of_shard(self, shard: ShardInfo) -> pl.DataFrame:
        """The numbers of one shard."""
        places = self._cache.read_positions(shard).select("doc_id", "position")
        if not places["doc_id"].is_in(list(self._documents)).any():
            return places.with_columns(self._empty(places.height))
        models = ["target", self._setting.draft]
        batches = self._cache.iter_batches(models, batch_rows=16, shards=[shard.index])
        return pl.concat([self._of_batch(batch) for batch in batches])

    def _empty(self, height: int) -> list[pl.Series]:
        empty = [pl.Series(name, [np.nan] * height) for name in self._plain_columns()]
        frame = pl.DataFrame(schema=self._node_schema())
        nodes = [pl.Series(name, [None] * height, kind) for name, kind in frame.schema.items()]
        levels = [[np.nan] * self._length] * height
        return [*empty, *nodes, *(_levels(name, levels) for name in self._level_columns())]

    def _plain_columns(self) -> list[str]:
        names = ["target_0", "draft_0"]
        return names if self._setting.sampled is None else [*names, "sampling_0"]

    def _level_columns(self) -> list[str]:
        return list(level_columns(0, self._exact).values())

    def _node_schema(self) -> dict[str, Any]:
        if not self._rules:
            return {}
        first = next(iter(self._cache.iter_batches(batch_rows=1)))
        found = batch_logprobs(first, [self._setting], self._rules)
        return {name: found.schema[name] for name in columns_of(0, self._rules).values()}

    def _of_batch(self, batch: LogitsBatch) -> pl.DataFrame:
        frame = batch.positions.select("doc_id", "position")
        found: dict[str, list[Any]] = {
            name: [] for name in [*self._plain_columns(), *self._level_columns()]
        }
        for row, place in enumerate(batch.positions.iter_rows(named=True)):
            numbers = self._of_row(batch, row, place)
            for name, value in numbers.items():
                found[name].append(value)
        frame = frame.with_columns(
            pl.Series(name, found[name], pl.Float64) for name in self._plain_columns()
        ).with_columns(_levels(name, found[name]) for name in self._level_columns())
        if not self._rules:
            return frame
        own = batch_logprobs(batch, [self._setting], self._rules)
        names = list(dict.fromkeys(columns_of(0, self._rules).values()))
        return frame.with_columns(own[name] for name in names)

    def _of_row(self, batch: LogitsBatch, row: int, place: dict[str, Any]) -> dict[str, Any]:
        wanted = place["doc_id"] in self._documents
        if self._last != (place["doc_id"], place["position"] - 1):
            self._before.clear()
        self._last = place["doc_id"], place["position"]
        if not wanted:
            return dict.fromkeys(self._plain_columns(), np.nan) | dict.fromkeys(
                self._level_columns(), [np.nan] * self._length
            )
        setting, token = self._setting, place["next_token_id"]
        p = plain_distribution(batch.logits["target"][row], setting.warpers)
        q = plain_distribution(batch.logits[setting.draft][row], setting.draft_warpers)
        numbers: dict[str, Any] = {"target_0": _log(p[token]), "draft_0": _log(q[token])}
        if setting.sampled is not None:
            s = plain_distribution(batch.logits["target"][row], setting.sampled)
            numbers["sampling_0"] = _log(s[token])
        for scheme, name in level_columns(0, self._exact).items():
            numbers[name] = self._levels_of(p, q, scheme)
        # A token that the target cannot give stands for one of ratio 1, as in weighted windows.
        known = (float(p[token]), float(q[token]))
        self._before.append(known if known[0] > 0.0 else (1.0, 1.0))
        return numbers

    def _levels_of(self, p: Floats, q: Floats, scheme: str) -> list[float]:
        """Level l of the window of l tokens that ends here, l = 1..L; NaN where none begins."""
        before = list(self._before)
        return [
            last_level(before[len(before) - l + 1 :], p, q, scheme)
            if l <= len(before) + 1
            else np.nan
            for l in range(1, self._length + 1)
        ]


def _log(value: float) -> float:
    return min(float(np.log(value)), 0.0) if value > 0.0 else -np.inf


def _levels(name: str, values: Sequence[Sequence[float]]) -> pl.Series:
    width = len(values[0]) if values else 1
    return pl.Series(name, values, dtype=pl.Array(pl.Float64, width))


def check_text(text: ScoredText, rows: pl.DataFrame, longest: int, record: Record) -> None:
    """Hold the rows of one text against its tails and calls by definition.

    Args:
        text: With log-probabilities from another softmax, or as a server gave them.
        rows: Of the results, at the text's setting.
        longest: The longest L of the run, for which rules of several paths take their offsets.
        record: Gets what is found.
    """
    outside = np.isneginf(text.law_logprob)
    if outside.any():
        text = text.first(int(outside.argmax()))
    for row in rows.iter_rows(named=True):
        name = f"document {row['doc_id']}, {row['scheme']}, {row['draft_length']} tokens"
        if row["scheme"] in TAILS:
            for what, claimed, right in _positions(text, row):
                _compare(name, TAILS_OF_TEXTS, what, claimed, right, record)
        if row["calls"] is not None:
            for what, claimed, right in _calls(text, row, longest):
                _compare(name, CALLS, what, claimed, right, record)


def _compare(
    row: str, check: str, what: str, claimed: Any, right: Sequence[float], record: Record
) -> None:
    given = [claimed] if isinstance(claimed, float) else claimed
    if given is None or len(given) != len(right):
        record.contradict(row, check, what)
        return
    for mine, value in zip(given, right, strict=True):
        record.add(row, check, what, abs(mine - value), ALLOWED * abs(value) + 1e-14)


def _positions(text: ScoredText, row: dict[str, Any]) -> Iterator[tuple[str, Any, Sequence[float]]]:
    """Mean tails over the windows that lie in the text, and the sums of their weights."""
    length, tokens = row["draft_length"], len(text.target_logprob)
    count = max(tokens - length + 1, 0)
    if count == 0:
        return
    weights = _weights(text, length)
    exact = row["last_level"] == EXACT
    if exact:
        levels = text.last_levels[row["scheme"]]
        tails = [[levels[s + l][l] for l in range(length)] for s in range(count)]
        weights = [[1.0, *each[:-1]] for each in weights]
    else:
        # Windows of weight 0 hold tokens that the wanted target cannot give.
        p = [value if value > 0.0 else 1.0 for value in np.exp(text.target_logprob)]
        q = np.where(np.isneginf(text.target_logprob), 1.0, np.exp(text.draft_logprob)).tolist()
        tails = window_tails(p, q, length, row["scheme"])[:count]
    means = [sum(weights[s][l] * tails[s][l] for s in range(count)) / count for l in range(length)]
    yield "tail_positions", row["tail_positions"], means
    if row["weights"] is not None:
        sums = [sum(each[l] for each in weights) for l in range(length)]
        squares = [sum(each[l] ** 2 for each in weights) for l in range(length)]
        yield "weights", row["weights"], sums
        sizes = [
            total**2 / square if square > 0.0 else 0.0
            for total, square in zip(sums, squares, strict=True)
        ]
        yield "effective_size", row["effective_size"], sizes


def _weights(text: ScoredText, length: int) -> list[list[float]]:
    """Of each window, the ratio of the wanted target and the law of the text, over l tokens."""
    count = len(text.target_logprob) - length + 1
    if text.sampling_logprob is None:
        return [[1.0] * length] * count
    ratio = np.exp(text.target_logprob - text.sampling_logprob).tolist()
    found = []
    for s in range(count):
        product, of_window = 1.0, []
        for each in ratio[s : s + length]:
            product *= each
            of_window.append(product)
        found.append(of_window)
    return found


def _calls(
    text: ScoredText, row: dict[str, Any], longest: int
) -> Iterator[tuple[str, Any, Sequence[float]]]:
    """Calls, their tokens and tails: sums of rewards along the text."""
    length, tokens = row["draft_length"], len(text.target_logprob)
    if row["scheme"] in TAILS:
        p, q = np.exp(text.target_logprob).tolist(), np.exp(text.draft_logprob).tolist()
        tails = window_tails(p, q, length, row["scheme"])
    else:
        tails = _tails_of_rule(text, row, longest)
    cut = text.finish_reason == "length"
    counted = max(tokens - length, 0) if cut else tokens
    calls = expected_total(tails, [float(s < counted) for s in range(tokens)])
    accepted = [
        expected_total(
            tails,
            [tails[s][l] if s < counted and s + l + 1 < tokens else 0.0 for s in range(tokens)],
        )
        for l in range(length)
    ]
    yield "calls", row["calls"], [calls]
    yield "call_tokens", row["call_tokens"], [calls + sum(accepted)]
    if calls:
        yield "tail_calls", row["tail_calls"], [each / calls for each in accepted]


def _tails_of_rule(text: ScoredText, row: dict[str, Any], longest: int) -> list[list[float]]:
    wanted = {name: row[name] for name in ("scheme", "sampling", "num_drafts")}
    (rule,) = [each for each in text.numbers if each.columns() == wanted]
    tail = rule.tail(text.target_logprob, text.draft_logprob, text.numbers[rule], longest)
    return [list(map(float, each[: row["draft_length"]])) for each in tail]
