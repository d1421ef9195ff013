"""A capture -> a few numbers a token and setting: all that tokens per call need of it.

Two log-probabilities, a third where the text was written at other settings, one number for each
rule on trees, and L of each rule whose last level is exact. One part file per shard, so that an
interrupted run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mdbound import paths
from mdbound.analysis.paths.path_setting import PathSetting
from mdbound.analysis.paths.texts import FINISH_REASONS, Floats, ScoredText
from mdbound.analysis.paths.tokens_before import TokensBefore, level_columns
from mdbound.analysis.paths.tree_rules import TreeRule
from mdbound.bounds import Warpers, distribution_from_logits
from mdbound.errors import CacheError
from mdbound.logits_cache.store.cache import LogitsBatch, LogitsCache

#: A sequence that goes on in the next window.
_GOES_ON = "window"

#: Mode of caches that hold no sequences.
_ARRAYS = "arrays"


def batch_logprobs(
    batch: LogitsBatch,
    settings: Sequence[PathSetting],
    rules: Sequence[TreeRule] = (),
    exact: Sequence[str] = (),
    before: TokensBefore | None = None,
) -> pl.DataFrame:
    """Numbers of the tokens that follow the positions of a batch.

    Args:
        batch: B positions.
        settings: The laws.
        rules: Rules on trees.
        exact: Rules of one path whose last level is exact.
        before: The tokens before, for these; it moves on.

    Returns:
        Columns `doc_id`, `position`, and for setting i log-probabilities `target_i` and `draft_i`,
        `sampling_i` where the text was written at other settings, what rule k needs of the
        token, `node_i_k`, 0 for a token that the target cannot give, and the levels of a rule,
        `last_i_RULE`.

    Raises:
        InvalidDistributionError: Logits that no distribution can be made of.
        CacheError: A position without a token that follows it.
    """
    tokens = _next_tokens(batch)
    rows = np.arange(len(tokens))
    columns: dict[str, Floats] = {}
    laws: dict[tuple[str, Warpers], Floats] = {}

    def law(model: str, warpers: Warpers) -> Floats:
        if (model, warpers) not in laws:
            made = distribution_from_logits(batch.logits[model], **warpers.as_dict())
            laws[model, warpers] = made
        return laws[model, warpers]

    for index, setting in enumerate(settings):
        p, q = law("target", setting.warpers), law(setting.draft, setting.draft_warpers)
        with np.errstate(divide="ignore"):  # tokens that a law does not give
            # Rounding may put the one token of a point mass above 1.
            columns[f"target_{index}"] = np.minimum(np.log(p[rows, tokens]), 0.0)
            columns[f"draft_{index}"] = np.minimum(np.log(q[rows, tokens]), 0.0)
            if setting.sampled is not None:
                s = law("target", setting.sampled)
                columns[f"sampling_{index}"] = np.minimum(np.log(s[rows, tokens]), 0.0)
        given = np.flatnonzero(p[rows, tokens] > 0.0)
        for rule, name in _columns_of(index, rules).items():
            if name not in columns:
                columns[name] = _numbers(rule, p, q, tokens, given)
    places = batch.positions.select("doc_id", "position")
    frame = places.with_columns(_series(name, values) for name, values in columns.items())
    return frame if before is None else _with_levels(frame, settings, exact, before, law)


def _columns_of(index: int, rules: Sequence[TreeRule]) -> dict[TreeRule, str]:
    """The column of each rule on trees at a setting; rules that need the same have the same."""
    first: dict[tuple[object, ...], int] = {}
    return {rule: f"node_{index}_{first.setdefault(rule.needs, k)}" for k, rule in enumerate(rules)}


def _numbers(
    rule: TreeRule, p: Floats, q: Floats, tokens: NDArray[np.int64], given: NDArray[np.int64]
) -> Floats:
    """The numbers of tokens that the target can give; 0 of others."""
    found = rule.numbers(p[given], q[given], tokens[given])
    numbers = np.zeros((len(tokens), *found.shape[1:]))
    numbers[given] = found
    return numbers


def _series(name: str, values: Floats) -> pl.Series:
    if values.ndim == 1:
        return pl.Series(name, values)
    return pl.Series(name, values, dtype=pl.Array(pl.Float64, values.shape[1]))


def _with_levels(
    frame: pl.DataFrame,
    settings: Sequence[PathSetting],
    exact: Sequence[str],
    before: TokensBefore,
    law: Callable[[str, Warpers], Floats],
) -> pl.DataFrame:
    """The columns of levels, while the rows are in memory."""
    levels = []
    for index, (setting, known) in enumerate(zip(settings, before.advance(frame), strict=True)):
        p, q = law("target", setting.warpers), law(setting.draft, setting.draft_warpers)
        for scheme, name in level_columns(index, exact).items():
            found = paths.last_level_of_rows(p, q, known[0], known[1], scheme)
            levels.append(pl.Series(name, found, dtype=pl.Array(pl.Float64, found.shape[1])))
    return frame.with_columns(levels)


def _next_tokens(batch: LogitsBatch) -> NDArray[np.int64]:
    """The tokens that follow the positions, as the cache says them."""
    tokens = batch.positions["next_token_id"]
    vocab_size = batch.logits["target"].shape[1]
    bad = tokens.is_null() | (tokens < 0) | (tokens >= vocab_size)
    if bad.any():
        raise CacheError(
            f"shard {batch.shard}, row {batch.row + int(bad.arg_max() or 0)}: no next_token_id of "
            f"the {vocab_size} that have logits; only texts whose tokens are known have calls"
        )
    return tokens.to_numpy()


def texts_of(
    cache: LogitsCache,
    logprobs: pl.DataFrame,
    settings: Sequence[PathSetting],
    rules: Sequence[TreeRule] = (),
    exact: Sequence[str] = (),
    documents: Collection[int] | None = None,
) -> Iterator[ScoredText]:
    """The texts of a capture under every setting, document by document.

    Args:
        cache: The capture.
        logprobs: Of all its positions, as `batch_logprobs` has them.
        settings: The same settings.
        rules: The same rules.
        exact: The same rules of one path.
        documents: Those whose texts are wanted, whose positions alone have to be there; None for
            all.

    Raises:
        CacheError: The capture's sequences and its positions do not belong together, or rows of a
            text do not follow each other, which exact last levels need.
    """
    values = {
        name: logprobs[name].to_numpy()
        for name in logprobs.columns
        if name not in {"doc_id", "position"}
    }
    found = _positions_of_documents if cache.manifest.generation.mode == _ARRAYS else _sequences
    turns: dict[int, int] = {}
    for text in found(cache, logprobs, documents):
        turn = turns.get(text.doc_id, 0)
        turns[text.doc_id] = turn + 1
        yield from _scored(text, turn, values, settings, rules, exact)


@dataclass(frozen=True)
class _Text:
    """A text of a document.

    Attributes:
        doc_id: The document.
        task: Its task.
        ended_by: As captures say it.
        rows: Of the log-probabilities, in the order of its tokens.
    """

    doc_id: int
    task: str
    ended_by: str
    rows: list[int]


def _sequences(
    cache: LogitsCache, logprobs: pl.DataFrame, documents: Collection[int] | None
) -> Iterator[_Text]:
    """Answers, and documents whose windows follow each other."""
    keys = zip(logprobs["doc_id"], logprobs["position"], strict=True)
    place = {key: row for row, key in enumerate(keys)}
    begun: dict[int, _Text] = {}
    for shard in cache.shards:
        for sequence in cache.read_documents(shard):
            doc = sequence["doc_id"]
            if documents is not None and doc not in documents:
                continue
            before = begun.pop(doc).rows if doc in begun else []
            rows = before + _rows(sequence, place, cache)
            text = _Text(doc, sequence["task"], sequence["ended_by"], rows)
            if text.ended_by == _GOES_ON:
                begun[doc] = text
            else:
                yield text
    for text in begun.values():  # the limit of positions cut a document between two windows
        yield replace(text, ended_by="limit")


def _positions_of_documents(
    cache: LogitsCache, _: pl.DataFrame, documents: Collection[int] | None
) -> Iterator[_Text]:
    """Runs of positions that follow each other, of caches that were made of arrays."""
    places = pl.concat([cache.read_positions(shard) for shard in cache.shards])
    placed = places.select("doc_id", "task", "position").with_row_index("row")
    for document in placed.sort("doc_id", "position").partition_by("doc_id", maintain_order=True):
        run = (document["position"].diff().fill_null(1) != 1).cum_sum()
        for text in document.with_columns(run.alias("run")).partition_by("run"):
            first = text.row(0, named=True)
            if documents is not None and first["doc_id"] not in documents:
                continue
            yield _Text(first["doc_id"], first["task"], "unknown", text["row"].to_list())


def _rows(
    sequence: Mapping[str, Any], place: Mapping[tuple[int, int], int], cache: LogitsCache
) -> list[int]:
    first = sequence["offset"] + sequence["first_row"]
    last = sequence["offset"] + len(sequence["token_ids"]) - 1
    try:
        return [place[sequence["doc_id"], position] for position in range(first, last)]
    except KeyError as error:
        raise CacheError(
            f"{cache.path}: document {sequence['doc_id']} has no position {error.args[0][1]}; "
            "capture again"
        ) from error


def _scored(
    text: _Text,
    turn: int,
    values: Mapping[str, Floats],
    settings: Sequence[PathSetting],
    rules: Sequence[TreeRule],
    exact: Sequence[str],
) -> Iterator[ScoredText]:
    at = np.asarray(text.rows, dtype=np.int64)
    for index, setting in enumerate(settings):
        yield ScoredText(
            str(text.doc_id),
            turn,
            text.task,
            FINISH_REASONS[text.ended_by],
            values[f"target_{index}"][at],
            values[f"draft_{index}"][at],
            setting.columns(),
            {rule: values[name][at] for rule, name in _columns_of(index, rules).items()},
            {
                rule: _levels(values[name][at], text.doc_id)
                for rule, name in level_columns(index, exact).items()
            },
            None if setting.sampled is None else values[f"sampling_{index}"][at],
        )


def _levels(levels: Floats, document: int) -> Floats:
    """Levels of a text, of which the first rows alone may lack windows that begin before it."""
    reach = np.minimum(np.arange(1, len(levels) + 1), levels.shape[1])
    if np.isnan(levels[np.arange(levels.shape[1]) < reach[:, None]]).any():
        raise CacheError(
            f"document {document}: its rows do not follow each other in the capture, which "
            "`last_level` exact needs; take sampled, or write the cache in the order of positions"
        )
    return levels
