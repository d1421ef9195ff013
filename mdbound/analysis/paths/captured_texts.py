"""Texts of a capture, put together from the numbers of its tokens, shard by shard."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from mdbound.analysis.paths.capture_logprobs import columns_of
from mdbound.analysis.paths.path_setting import PathSetting
from mdbound.analysis.paths.texts import FINISH_REASONS, Floats, ScoredText
from mdbound.analysis.paths.tokens_before import level_columns
from mdbound.analysis.paths.tree_rules import TreeRule
from mdbound.errors import CacheError
from mdbound.logits_cache.store.cache import LogitsCache

#: A sequence that goes on in the next window.
_GOES_ON = "window"

#: Mode of caches that hold no sequences.
_ARRAYS = "arrays"


def texts_of(
    cache: LogitsCache,
    parts: Iterable[pl.DataFrame],
    settings: Sequence[PathSetting],
    rules: Sequence[TreeRule] = (),
    exact: Sequence[str] = (),
    documents: Collection[int] | None = None,
) -> Iterator[ScoredText]:
    """The texts of a capture under every setting, document by document.

    Memory holds the numbers of one shard, and of texts that go on from it in the next one; of
    caches that were made of arrays, where positions stand in any order, those of all shards.

    Args:
        cache: The capture.
        parts: For each shard in turn the numbers of its positions, as `batch_logprobs` has them.
        settings: The same settings.
        rules: The same rules.
        exact: The same rules of one path.
        documents: Those whose texts are wanted, whose positions alone have to be there; None for
            all.

    Raises:
        CacheError: The capture's sequences and its positions do not belong together, or rows of a
            text do not follow each other, which exact last levels need.
    """
    found = _positions_of_documents if cache.manifest.generation.mode == _ARRAYS else _sequences
    turns: dict[int, int] = {}
    for text in found(cache, parts, documents):
        turn = turns.get(text.doc_id, 0)
        turns[text.doc_id] = turn + 1
        yield from _scored(text, turn, settings, rules, exact)


@dataclass(frozen=True)
class _Text:
    """A text of a document.

    Attributes:
        doc_id: The document.
        task: Its task.
        ended_by: As captures say it.
        numbers: Of its tokens, in their order.
    """

    doc_id: int
    task: str
    ended_by: str
    numbers: pl.DataFrame


def _sequences(
    cache: LogitsCache, parts: Iterable[pl.DataFrame], documents: Collection[int] | None
) -> Iterator[_Text]:
    """Answers, and documents whose windows follow each other."""
    begun: dict[int, _Text] = {}
    for shard, part in zip(cache.shards, parts, strict=True):
        keys = zip(part["doc_id"], part["position"], strict=True)
        place = {key: row for row, key in enumerate(keys)}
        for sequence in cache.read_documents(shard):
            doc = sequence["doc_id"]
            if documents is not None and doc not in documents:
                continue
            numbers = part[_rows(sequence, place, cache)]
            if doc in begun:
                numbers = pl.concat([begun.pop(doc).numbers, numbers])
            text = _Text(doc, sequence["task"], sequence["ended_by"], numbers)
            if text.ended_by == _GOES_ON:
                begun[doc] = text
            else:
                yield text
    for text in begun.values():  # the limit of positions cut a document between two windows
        yield replace(text, ended_by="limit")


def _positions_of_documents(
    cache: LogitsCache, parts: Iterable[pl.DataFrame], documents: Collection[int] | None
) -> Iterator[_Text]:
    """Runs of positions that follow each other, of caches that were made of arrays."""
    numbers = pl.concat(list(parts))
    places = pl.concat([cache.read_positions(shard) for shard in cache.shards])
    placed = places.select("doc_id", "task", "position").with_row_index("row")
    for document in placed.sort("doc_id", "position").partition_by("doc_id", maintain_order=True):
        run = (document["position"].diff().fill_null(1) != 1).cum_sum()
        for text in document.with_columns(run.alias("run")).partition_by("run"):
            first = text.row(0, named=True)
            if documents is not None and first["doc_id"] not in documents:
                continue
            yield _Text(first["doc_id"], first["task"], "unknown", numbers[text["row"].to_list()])


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
    settings: Sequence[PathSetting],
    rules: Sequence[TreeRule],
    exact: Sequence[str],
) -> Iterator[ScoredText]:
    values = {name: text.numbers[name].to_numpy() for name in text.numbers.columns}
    for index, setting in enumerate(settings):
        yield ScoredText(
            str(text.doc_id),
            turn,
            text.task,
            FINISH_REASONS[text.ended_by],
            values[f"target_{index}"],
            values[f"draft_{index}"],
            setting.columns(),
            {rule: values[name] for rule, name in columns_of(index, rules).items()},
            {
                rule: _levels(values[name], text.doc_id)
                for rule, name in level_columns(index, exact).items()
            },
            None if setting.sampled is None else values[f"sampling_{index}"],
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
