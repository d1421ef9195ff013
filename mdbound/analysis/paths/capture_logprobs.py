"""A capture -> two log-probabilities a token and setting: all that tokens per call need of it.

One part file per shard, so that an interrupted run goes on; sixteen bytes a position and setting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mdbound.analysis.paths.path_setting import PathSetting
from mdbound.analysis.paths.texts import FINISH_REASONS, Floats, ScoredText
from mdbound.bounds import Warpers, distribution_from_logits
from mdbound.errors import CacheError
from mdbound.logits_cache.store.cache import LogitsBatch, LogitsCache

#: A sequence that goes on in the next window.
_GOES_ON = "window"


def batch_logprobs(batch: LogitsBatch, settings: Sequence[PathSetting]) -> pl.DataFrame:
    """Log-probabilities of the tokens that follow the positions of a batch.

    Args:
        batch: B positions.
        settings: The laws.

    Returns:
        Columns `doc_id`, `position`, and for setting i `target_i` and `draft_i`.

    Raises:
        InvalidDistributionError: Logits that no distribution can be made of.
    """
    tokens = batch.positions["next_token_id"].to_numpy()
    columns: dict[str, Any] = {}
    found: dict[tuple[str, Warpers], Floats] = {}
    for index, setting in enumerate(settings):
        for side, model, warpers in (
            ("target", "target", setting.warpers),
            ("draft", setting.draft, setting.draft_warpers),
        ):
            if (model, warpers) not in found:
                found[model, warpers] = _log_of(batch.logits[model], warpers, tokens)
            columns[f"{side}_{index}"] = found[model, warpers]
    return batch.positions.select("doc_id", "position").with_columns(
        pl.Series(name, values) for name, values in columns.items()
    )


def _log_of(logits: NDArray[np.float32], warpers: Warpers, tokens: NDArray[np.int64]) -> Floats:
    probabilities = distribution_from_logits(logits, **warpers.as_dict())
    with np.errstate(divide="ignore"):  # a token that the law does not give
        logs: Floats = np.log(probabilities[np.arange(len(tokens)), tokens])
    # Rounding may put the one token of a point mass above 1.
    return np.minimum(logs, 0.0)


def texts_of(
    cache: LogitsCache, logprobs: pl.DataFrame, settings: Sequence[PathSetting]
) -> Iterator[ScoredText]:
    """The texts of a capture under every setting, document by document.

    Args:
        cache: The capture.
        logprobs: Of all its positions, as `batch_logprobs` has them.
        settings: The same settings.

    Raises:
        CacheError: The capture's sequences and its positions do not belong together.
    """
    place = {
        key: row
        for row, key in enumerate(zip(logprobs["doc_id"], logprobs["position"], strict=True))
    }
    values = {
        name: logprobs[name].to_numpy() for name in logprobs.columns if name.startswith(("t", "dr"))
    }
    turns: dict[int, int] = {}
    begun: dict[int, list[int]] = {}
    for shard in cache.shards:
        for sequence in cache.read_documents(shard):
            doc = sequence["doc_id"]
            rows = begun.pop(doc, []) + _rows(sequence, place, cache)
            if sequence["ended_by"] == _GOES_ON:
                begun[doc] = rows
                continue
            turn = turns.get(doc, 0)
            turns[doc] = turn + 1
            yield from _scored(sequence, rows, turn, values, settings)
    for doc, rows in begun.items():  # the limit of positions cut a document between two windows
        last = {"doc_id": doc, "task": "", "ended_by": "limit"}
        yield from _scored(last, rows, turns.get(doc, 0), values, settings)


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
    sequence: Mapping[str, Any],
    rows: Sequence[int],
    turn: int,
    values: Mapping[str, Floats],
    settings: Sequence[PathSetting],
) -> Iterator[ScoredText]:
    at = np.asarray(rows, dtype=np.int64)
    for index, setting in enumerate(settings):
        yield ScoredText(
            str(sequence["doc_id"]),
            turn,
            sequence["task"],
            FINISH_REASONS[sequence["ended_by"]],
            values[f"target_{index}"][at],
            values[f"draft_{index}"][at],
            setting.columns(),
        )
