"""A capture -> a few numbers a token and setting: all that tokens per call need of it.

Two log-probabilities, and one number for each scheme that verifies node by node. One part file per
shard, so that an interrupted run goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from mdbound.analysis.paths.path_setting import NodeRule, PathSetting
from mdbound.analysis.paths.texts import FINISH_REASONS, Floats, ScoredText
from mdbound.bounds import Warpers, distribution_from_logits
from mdbound.errors import CacheError
from mdbound.logits_cache.store.cache import LogitsBatch, LogitsCache

#: A sequence that goes on in the next window.
_GOES_ON = "window"


def batch_logprobs(
    batch: LogitsBatch, settings: Sequence[PathSetting], rules: Sequence[NodeRule] = ()
) -> pl.DataFrame:
    """Numbers of the tokens that follow the positions of a batch.

    Args:
        batch: B positions.
        settings: The laws.
        rules: Schemes that verify node by node.

    Returns:
        Columns `doc_id`, `position`, and for setting i log-probabilities `target_i` and `draft_i`,
        and b of the token for rule k, `node_i_k`; 0 for a token that the target cannot give.

    Raises:
        InvalidDistributionError: Logits that no distribution can be made of.
    """
    tokens = batch.positions["next_token_id"].to_numpy()
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
        given = np.flatnonzero(p[rows, tokens] > 0.0)
        for k, rule in enumerate(rules):
            b = np.zeros(len(tokens))
            b[given] = rule.made().token_acceptance(
                p[given], q[given], rule.num_drafts, tokens[given]
            )
            columns[f"node_{index}_{k}"] = b
    return batch.positions.select("doc_id", "position").with_columns(
        pl.Series(name, values) for name, values in columns.items()
    )


def texts_of(
    cache: LogitsCache,
    logprobs: pl.DataFrame,
    settings: Sequence[PathSetting],
    rules: Sequence[NodeRule] = (),
) -> Iterator[ScoredText]:
    """The texts of a capture under every setting, document by document.

    Args:
        cache: The capture.
        logprobs: Of all its positions, as `batch_logprobs` has them.
        settings: The same settings.
        rules: The same rules.

    Raises:
        CacheError: The capture's sequences and its positions do not belong together.
    """
    place = {
        key: row
        for row, key in enumerate(zip(logprobs["doc_id"], logprobs["position"], strict=True))
    }
    values = {
        name: logprobs[name].to_numpy()
        for name in logprobs.columns
        if name not in {"doc_id", "position"}
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
            yield from _scored(sequence, rows, turn, values, settings, rules)
    for doc, rows in begun.items():  # the limit of positions cut a document between two windows
        last = {"doc_id": doc, "task": "", "ended_by": "limit"}
        yield from _scored(last, rows, turns.get(doc, 0), values, settings, rules)


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
    rules: Sequence[NodeRule],
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
            {rule: values[f"node_{index}_{k}"][at] for k, rule in enumerate(rules)},
        )
