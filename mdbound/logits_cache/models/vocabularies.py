"""The vocabularies of a target and its drafts, made one: which tokens each has logits for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mdbound.errors import InvalidSettingError, ModelError
from mdbound.logits_cache.models.tokenizer import LoadedTokenizer, check_same_vocabulary
from mdbound.logits_cache.models.vocabulary_map import (
    NO_MAP,
    VocabularyMap,
    read_vocabulary_map,
)

#: Ways to pair models that do not have the same tokens.
ALIGNMENTS = ("prefix",)

#: What a draft has: the first so many tokens, or those of a map.
Vocabulary = int | VocabularyMap


@dataclass(frozen=True)
class VocabularySide:
    """A model as far as its vocabulary goes.

    Attributes:
        source: the model as it was asked for.
        width: logits that it puts out.
        tokenizer: loads its tokenizer, which a draft with a map may not have.
    """

    source: str
    width: int
    tokenizer: Callable[[], LoadedTokenizer]

    @property
    def tokens(self) -> int:
        """Tokens that it can put out, from 0 on: those with a name and a logit."""
        return min(self.tokenizer().vocab_size, self.width)


def read_maps(files: Sequence[str], drafts: int) -> list[VocabularyMap | None]:
    """Read the map of each draft; None for those without.

    Args:
        files: as many as there are drafts, `none` for a draft without; or none at all.
        drafts: how many drafts there are.

    Raises:
        InvalidSettingError: there are more or fewer.
        ModelError: a map cannot be read.
    """
    if files and len(files) != drafts:
        raise InvalidSettingError(
            f"`draft_vocabulary` is given {len(files)} times, and `drafts` {drafts} times; give a "
            f"map for each, or {NO_MAP!r}"
        )
    return [
        None if each == NO_MAP else read_vocabulary_map(Path(each).expanduser())
        for each in files or [NO_MAP] * drafts
    ]


def draft_vocabulary(
    target: VocabularySide, draft: VocabularySide, own_map: VocabularyMap | None, rule: str | None
) -> Vocabulary:
    """Tokens that a draft has logits for; refuses one whose tokens mean others.

    Args:
        target: the target.
        draft: the draft.
        own_map: the draft's map, if it has one.
        rule: one of `ALIGNMENTS`, or None where both are to have the same tokens.

    Raises:
        ModelError: naming the first token that differs, or the logits that the draft lacks.
    """
    if own_map is not None and draft.width < target.tokens:
        return own_map  # for a pruned head the map says what its logits are of
    theirs = draft.tokenizer()
    both = min(target.width, draft.width)
    if rule is not None:
        both = min(both, target.tokenizer().vocab_size, theirs.vocab_size)
    check_same_vocabulary(target.tokenizer(), theirs, both)
    if own_map is not None:
        return own_map
    if rule is not None:
        return draft.tokens
    # Wider logits are padding and are cut. Narrower ones would leave tokens without probability.
    if draft.width < target.tokens:
        raise ModelError(
            f"draft {draft.source!r} has {draft.width} logits for a vocabulary of "
            f"{target.tokens} tokens; resize its embeddings, take another draft, or give "
            "`align_vocabulary` prefix: the tokens that it lacks get no mass"
        )
    return target.tokens


def common_size(target_tokens: int, vocabularies: Sequence[Vocabulary], cached: int | None) -> int:
    """Logits to store per position, V: of the target's tokens, and of what drafts have beyond.

    Args:
        target_tokens: tokens of the target.
        vocabularies: of the drafts.
        cached: V of the cache that the drafts are added to; None for a new one.

    Raises:
        ModelError: a draft has more tokens than the cache.

    Example:
        >>> common_size(300, [299, 301], None)
        301
    """
    counts = [each for each in vocabularies if isinstance(each, int)]
    size = max([target_tokens, *counts])
    if cached is not None and size > cached:
        raise ModelError(
            f"a draft has {size} tokens, and the cache {cached}; capture target and draft together"
        )
    return size if cached is None else cached
