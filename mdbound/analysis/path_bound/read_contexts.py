"""A capture of paths -> what the path bound needs of every context."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mdbound import trees
from mdbound.analysis.path_bound.contexts import BoundContexts, Places
from mdbound.analysis.path_bound.texts_of_contexts import Answers, answers_of
from mdbound.analysis.trees.captured_law import CapturedLaw
from mdbound.analysis.trees.contexts import ContextTree, contexts_of
from mdbound.analysis.trees.depth_terms import depth_terms
from mdbound.bounds import distribution_from_logits
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache
from mdbound.trees import Paths
from mdbound.trees.optima.path_bound.features import (
    PathFeatures,
    RowFeatures,
    ended_features,
    joined,
    row_features,
    taken,
)
from mdbound.trees.optima.path_bound.hats import BASES
from mdbound.trees.verifiers.rows import one_draft

#: Rows that are read at a time.
BATCH_ROWS = 64

_Where = dict[tuple[int, int], int]
"""Row of the text's features by document and position."""


def read_contexts(
    cache: LogitsCache,
    captured: CapturedLaw,
    laws: Sequence[Paths],
    on_progress: Callable[[int], None] | None = None,
) -> BoundContexts:
    """What the bounds of some laws need of the contexts of a draft.

    A few hundred numbers a context and a text's position are kept, whatever the vocabulary is.

    Args:
        cache: The capture.
        captured: How its paths were drawn.
        laws: K paths of L tokens each, none longer than those of the capture.
        on_progress: Called with contexts done.

    Raises:
        InvalidSettingError: Trees that are not of i.i.d. paths, or a law of longer paths.
        CacheError: A shard is missing or damaged.
        InvalidDistributionError: Logits that no distribution can be made of.
    """
    drawn = _checked(cache, captured, laws)
    answers = answers_of(cache)
    where, text_rows = _text_features(cache, captured, answers)
    ended = len(where)  # the row behind all others
    drafted: list[RowFeatures] = []
    follow: list[NDArray[np.int64]] = []
    left: list[int] = []
    places: list[tuple[int, str, int, int, float, float]] = []
    terms: dict[Paths, list[NDArray[np.float64]]] = {
        law: [] for law in laws if law.num_paths <= drawn.num_paths
    }
    for context, task in _contexts(cache, captured):
        drafted.append(_along(context, answers.end_tokens, drawn))
        rows, sure = _following(context, answers, where, drawn.length, ended)
        follow.append(rows)
        left.append(sure)
        p = context.target[()]
        entropy = float(-np.sum(p * np.log(p, out=np.zeros_like(p), where=p > 0.0)))
        overlap = float(np.minimum(p, one_draft(context.draft, "the path bound")[()]).sum())
        key = (context.doc_id, task, context.position, context.number)
        places.append((*key, entropy, overlap))
        for law, found in terms.items():
            found.append(_terms(context, law))
        if on_progress is not None:
            on_progress(len(left))
    if not left:
        raise CacheError(f"{cache.path} holds no paths; capture again")
    doc_id, tasks, position, number, entropies, overlaps = zip(*places, strict=True)
    text = joined([text_rows, ended_features(1, BASES)])
    return BoundContexts(
        Places(
            *(np.array(doc_id), list(tasks), np.array(position), np.array(number)),
            np.array(entropies),
            np.array(overlaps),
        ),
        PathFeatures(
            joined(drafted),
            taken(text, np.concatenate(follow)),
            (len(left), drawn.num_paths, drawn.length),
            np.array(left, np.int64),
        ),
        {law: np.array(found) for law, found in terms.items()},
    )


def _checked(cache: LogitsCache, captured: CapturedLaw, laws: Sequence[Paths]) -> Paths:
    drawn = captured.law
    if not isinstance(drawn, Paths) or captured.several:
        raise InvalidSettingError(
            f"{cache.path} holds a {captured.title(drawn)}: the path bound is for i.i.d. paths of "
            "one law; capture with `paths`"
        )
    for law in laws:
        if law.length > drawn.length:
            raise InvalidSettingError(
                f"`shapes` {law.num_paths}:{law.length} asks for longer paths than the "
                f"{drawn.title()} of the capture"
            )
    return drawn


def _contexts(cache: LogitsCache, captured: CapturedLaw) -> Iterator[tuple[ContextTree, str]]:
    for shard in cache.shards:
        tasks = dict(cache.read_positions(shard).select("doc_id", "task").unique().rows())
        for context in contexts_of(cache, captured, shard):
            yield context, tasks[context.doc_id]


def _text_features(
    cache: LogitsCache, captured: CapturedLaw, answers: Answers
) -> tuple[_Where, RowFeatures]:
    """Features of the rows of texts; of the contexts alone where no text says anything."""
    (draft,) = set(captured.drafts)
    where: _Where = {}
    found = [row_features(np.zeros((0, 1)), np.zeros((0, 1)), np.zeros(0, np.int64), BASES)]
    if not answers.by_document:
        return where, found[0]
    for batch in cache.iter_batches(["target", draft], batch_rows=BATCH_ROWS):
        tokens = batch.positions["next_token_id"].fill_null(0).to_numpy()
        p = distribution_from_logits(batch.logits["target"], **captured.target_warpers.as_dict())
        q = distribution_from_logits(batch.logits[draft], **captured.draft_warpers[0].as_dict())
        found.append(row_features(p, q, tokens, BASES))
        for key in batch.positions.select("doc_id", "position").rows():
            where[key] = len(where)
    return where, joined(found)


def _following(
    context: ContextTree, answers: Answers, where: _Where, length: int, ended: int
) -> tuple[NDArray[np.int64], int]:
    """Rows of the text's features from a context on, and tokens that are sure to follow.

    Behind an end token, and where nothing is sure, it is the row of an ended text.
    """
    rows = np.full(length, ended)
    answer = answers.at(context.doc_id, context.position)
    if answer is None:
        return rows, 0
    there = min(length, answer.first + len(answer.tokens) - context.position)
    for depth in range(there):
        rows[depth] = where[context.doc_id, context.position + depth]
    return rows, answer.left(context.position)


def _along(context: ContextTree, end_tokens: frozenset[int], law: Paths) -> RowFeatures:
    """Features along the paths of a context; behind an end token those of an ended text."""
    paths = context.tree.paths()
    draft = one_draft(context.draft, "the path bound")
    nodes = [path[:depth] for path in paths for depth in range(law.length)]
    tokens = np.array([token for path in paths for token in path])
    p = np.stack([context.target[node] for node in nodes])
    q = np.stack([draft[node] for node in nodes])
    rows = joined([row_features(p, q, tokens, BASES), ended_features(1, BASES)])
    at = np.arange(len(nodes))
    at[[any(token in end_tokens for token in node) for node in nodes]] = len(nodes)
    return taken(rows, at)


def _terms(context: ContextTree, law: Paths) -> NDArray[np.float64]:
    paths = [path[: law.length] for path in context.tree.paths()[: law.num_paths]]
    draft = one_draft(context.draft, "the bound by depth")
    return depth_terms(context.target, draft, trees.tree_of_paths(paths), law)
