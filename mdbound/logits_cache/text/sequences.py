"""Texts and conversations as token sequences, with the edges that one rule gives them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from mdbound.errors import TextSourceError
from mdbound.logits_cache.text.conversations import Message
from mdbound.logits_cache.text.edges import Edges, find_edges

#: Characters of a text tokenized first for each token that is wanted, and beside them: texts have
#: three to five a token. Fewer would often have to be tokenized again, more are for nothing.
_CHARACTERS_PER_TOKEN = 8
_CHARACTERS_BESIDE = 1024


@dataclass
class EdgeCounts:
    """What the rule for edges met, in sequences.

    Attributes:
        doubled: that brought the beginning themselves, or twice, so that one was left out.
        trailing: at whose end the tokenizer's own ending was left out.
        ended: prompts that end in an end token by themselves; their answers follow it.
        later_windows: windows after the first of texts that have a beginning.
    """

    doubled: int = 0
    trailing: int = 0
    ended: int = 0
    later_windows: int = 0


@dataclass
class Sequences:
    """Makes token sequences, and counts what it met at their edges.

    Attributes:
        tokenizer: the transformers tokenizer.
        end_tokens: tokens that end an answer.
        edges: what the tokenizer puts around a text.
        counts: of the sequences made so far.
    """

    tokenizer: Any
    end_tokens: Collection[int] = ()
    edges: Edges = field(init=False)
    counts: EdgeCounts = field(default_factory=EdgeCounts)

    def __post_init__(self) -> None:
        self.edges = find_edges(self.tokenizer)

    def of_text(self, text: str, most: int | None = None) -> list[int]:
        """Tokens of a text; with `most` no more than so many, and not all of it is tokenized."""
        own = first_tokens(self._own_tokens, text, most)
        tokens, doubled = self.edges.begun(own)
        self.counts.doubled += doubled
        self.counts.trailing += bool(self.edges.ending)
        return tokens[:most]

    def of_messages(
        self, messages: Sequence[Message], origin: str, *, to_answer: bool
    ) -> list[int]:
        """Tokens of a conversation in the tokenizer's chat template, which alone decides its ends.

        Args:
            messages: the conversation.
            origin: where it stands, for messages.
            to_answer: whether an answer follows.

        Raises:
            TextSourceError: the template refuses it.
        """
        try:
            tokens = self.tokenizer.apply_chat_template(
                [message.as_dict() for message in messages],
                add_generation_prompt=to_answer,
                tokenize=True,
                return_dict=False,
            )
        except Exception as error:  # templates are programs, and raise what they like
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise TextSourceError(
                f"{origin} the chat template refuses {_roles(messages)} ({reason}); change the "
                "messages, or turn `chat_template` off"
            ) from error
        tokens, doubled = self.edges.begun_once(list(tokens))
        self.counts.doubled += doubled
        return tokens

    def count_ended(self, prompt: Sequence[int]) -> None:
        """Take note of a prompt that ends in an end token."""
        self.counts.ended += prompt[-1] in self.end_tokens

    def _own_tokens(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)


def first_tokens(encode: Callable[[str], list[int]], text: str, most: int | None) -> list[int]:
    """The first `most` tokens of a text, of which no more is tokenized than they depend on.

    A tokenizer may look further than the tokens it gives: a part of the text is taken as enough
    when twice as much of it gives the same tokens.

    Example:
        >>> seen = []
        >>> def encode(text):
        ...     seen.append(len(text))
        ...     return [ord(letter) for letter in text]
        >>> first_tokens(encode, "ab" * 10**6, 3), max(seen) < 3000
        ([97, 98, 97], True)
    """
    if most is None:
        return encode(text)
    size = _CHARACTERS_PER_TOKEN * most + _CHARACTERS_BESIDE
    found = encode(text[:size])
    while size < len(text):
        shorter = found
        size *= 2
        found = encode(text[:size])
        # Equal to one token more, because a cut shows in the last token of what is cut.
        if len(shorter) > most and shorter[: most + 1] == found[: most + 1]:
            break
    return found[:most]


def _roles(messages: Sequence[Message]) -> str:
    return "messages of " + ", ".join(message.role for message in messages)
