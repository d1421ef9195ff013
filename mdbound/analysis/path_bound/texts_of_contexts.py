"""Which rows of the text follow each context, and how far that is sure beforehand.

A text that went on tells what the target does; whether it went on must not decide which contexts
are looked at. So a context counts as having a text of L tokens where the limit of answers leaves
room for them; an answer that ended before goes on with its end token for ever, for certain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mdbound.logits_cache.store.cache import LogitsCache

#: How an answer that ended by itself ended.
_BY_ITSELF = "end_token"

#: How an answer ended that its limit cut.
_BY_LIMIT = "limit"


@dataclass(frozen=True)
class Answer:
    """An answer of the target.

    Attributes:
        first: Position of its first row.
        tokens: Its tokens.
        ended: Whether it ended by itself.
        limit: Tokens that it was sure to have room for.
    """

    first: int
    tokens: tuple[int, ...]
    ended: bool
    limit: int

    def left(self, position: int) -> int:
        """Tokens that the answer has room for at a position.

        Example:
            >>> Answer(first=5, tokens=(1, 2), ended=True, limit=8).left(6)
            7
        """
        return max(0, self.limit - (position - self.first))


@dataclass(frozen=True)
class Answers:
    """The answers of a capture.

    Attributes:
        by_document: Of each document.
        end_tokens: Tokens that answers ended with.
    """

    by_document: Mapping[int, tuple[Answer, ...]]
    end_tokens: frozenset[int]

    def at(self, doc_id: int, position: int) -> Answer | None:
        """The answer that a position is in."""
        for each in self.by_document.get(doc_id, ()):
            if each.first <= position < each.first + len(each.tokens):
                return each
        return None


def answers_of(cache: LogitsCache) -> Answers:
    """The answers of a capture; of text that was given none, which says nothing of the target.

    Contexts that were drawn at random are as many in short answers as in long ones, so that what
    followed decides how often they were looked at: their texts are left out, too.

    Raises:
        CacheError: A shard is missing or damaged.
    """
    how = cache.manifest.generation
    drawn_at_random = how.paths is not None and how.paths.every is None and how.paths.contexts
    if how.warpers is None or how.max_new_tokens is None or how.max_positions is not None:
        return Answers({}, frozenset())
    if drawn_at_random:
        return Answers({}, frozenset())
    found: dict[int, list[Answer]] = {}
    ends = set()
    for shard in cache.shards:
        for sequence in cache.read_documents(shard):
            tokens = tuple(sequence["token_ids"][sequence["first_row"] + 1 :])
            first = sequence["offset"] + sequence["first_row"]
            limit = how.max_new_tokens
            if how.max_context is not None:
                limit = min(limit, how.max_context - sequence["first_row"] - 1)
            if sequence["ended_by"] != _BY_ITSELF:
                limit = min(limit, len(tokens))
            elif tokens:
                ends.add(tokens[-1])
            if sequence["ended_by"] in (_BY_ITSELF, _BY_LIMIT):
                ended = sequence["ended_by"] == _BY_ITSELF
                found.setdefault(sequence["doc_id"], []).append(Answer(first, tokens, ended, limit))
    return Answers({doc: tuple(each) for doc, each in found.items()}, frozenset(ends))
