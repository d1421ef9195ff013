"""Acceptance traces for simulators of batched serving: a length for a call at every token.

The format is that of the traces of Liu et al. 2026 (SpecDecode-Bench): a JSON object a text, with
`acc_len` for each generated token: how many tokens a call that starts there emits. Their traces are
of one run; these are drawn from the exact law of the length, given the text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from mdbound import paths
from mdbound.analysis.paths.capture_logprobs import batch_logprobs
from mdbound.analysis.paths.captured_texts import texts_of
from mdbound.analysis.paths.path_setting import PathSetting
from mdbound.analysis.paths.texts import ScoredText
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache


def simulator_lines(
    cache: LogitsCache, setting: PathSetting, scheme: str, draft_length: int, seed: int = 0
) -> Iterator[str]:
    """A line for each text of a capture.

    Args:
        cache: A capture of answers, or of scored documents.
        setting: Draft and temperatures; the target's are those of the text.
        scheme: A rule of one path that has calls.
        draft_length: L.
        seed: Of the draws.

    Yields:
        JSON objects of `id`, `prompt_token_ids`, `generated_token_ids` and, under `acc_eagle`,
        `acc_len`.

    Raises:
        InvalidSettingError: A rule without calls, or a capture of arrays, which has no tokens.
        CacheError: The capture is damaged.
    """
    if not paths.path_rule(scheme).stateless:
        raise InvalidSettingError(f"`scheme` {scheme} has no calls; take block or single_draft")
    if setting.sampled is not None:
        raise InvalidSettingError("calls are of the text at the settings that it was sampled with")
    tokens = _tokens(cache)
    rng = np.random.default_rng(seed)
    parts = (_part(cache, setting, shard.index) for shard in cache.shards)
    for text in texts_of(cache, parts, [setting]):
        inside = paths.length_inside_support(text.target_logprob)
        if inside < 2:
            continue
        prompt, generated = tokens[text.doc_id, text.turn]
        lengths = _drawn(text.first(inside), scheme, draft_length, rng)
        yield json.dumps(
            {
                "id": text.name,
                "prompt_token_ids": prompt,
                "generated_token_ids": generated[:inside],
                "acc_eagle": {"acc_len": lengths},
            }
        )


def _part(cache: LogitsCache, setting: PathSetting, shard: int) -> pl.DataFrame:
    models = ["target", setting.draft]
    batches = cache.iter_batches(models, batch_rows=64, shards=[shard])
    return pl.concat([batch_logprobs(batch, [setting]) for batch in batches])


def _tokens(cache: LogitsCache) -> Mapping[tuple[str, int], tuple[list[int], list[int]]]:
    """Prompt and text of each sequence, by document and turn."""
    found: dict[tuple[str, int], tuple[list[int], list[int]]] = {}
    turns: dict[int, int] = {}
    open_windows: dict[int, tuple[str, int]] = {}
    if cache.manifest.generation.mode == "arrays":
        raise InvalidSettingError(
            f"{cache.path} was made of arrays: it holds no prompts; capture text"
        )
    for shard in cache.shards:
        for sequence in cache.read_documents(shard):
            doc, first = sequence["doc_id"], sequence["first_row"] + 1
            ids = [int(token) for token in sequence["token_ids"]]
            if doc in open_windows:
                key = open_windows.pop(doc)
                found[key][1].extend(ids[first:])
            else:
                turn = turns.get(doc, 0)
                turns[doc] = turn + 1
                key = (str(doc), turn)
                found[key] = ids[:first], ids[first:]
            if sequence["ended_by"] == "window":
                open_windows[doc] = key
    return found


def _drawn(text: ScoredText, scheme: str, draft_length: int, rng: np.random.Generator) -> list[int]:
    """1 + tau of a call at each token, drawn from its law given the text."""
    tail: Any = paths.text_tail(
        text.target_logprob, text.draft_logprob, draft_length, scheme, text.name
    )
    accepted = (rng.random(len(tail))[:, None] < tail).sum(axis=1)
    left = len(tail) - np.arange(len(tail))
    return [int(length) for length in np.minimum(1 + accepted, left)]
