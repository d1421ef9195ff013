"""The edges of a sequence: what a tokenizer puts before and after a text, by one rule.

A sequence begins with the tokenizer's beginning tokens once, whether the text brings them or not,
and ends where its text ends: what the tokenizer would append is left out, so that an answer goes
on with the text, and no window ends in a token that nobody wrote. What a text or a chat template
says itself is not touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mdbound.errors import ModelError

#: Texts that show what stands around them; the first that gives a token is taken.
_PROBES = ("a", "0", ".", "\n")


@dataclass(frozen=True)
class Edges:
    """Special tokens that a tokenizer puts around a text by itself.

    Attributes:
        beginning: before it; most often the beginning token, or none.
        ending: after it, such as an end token.
        begin_token: the tokenizer's beginning token, whether it puts it or not; None if it has
            none.
    """

    beginning: tuple[int, ...] = ()
    ending: tuple[int, ...] = ()
    begin_token: int | None = None

    def begun(self, tokens: list[int]) -> tuple[list[int], bool]:
        """A text's own tokens with the beginning before them, and whether they had it already.

        Example:
            >>> Edges((1,)).begun([5, 6]), Edges((1,)).begun([1, 5])
            (([1, 5, 6], False), ([1, 5], True))
        """
        doubled = bool(self.beginning) and self._begins(tokens, self.beginning)
        return (tokens if doubled else [*self.beginning, *tokens]), doubled

    def begun_once(self, tokens: list[int]) -> tuple[list[int], bool]:
        """Tokens that say themselves how they begin, without a second beginning after the first.

        Example:
            >>> Edges((1,)).begun_once([1, 1, 5]), Edges((1,)).begun_once([5])
            (([1, 5], True), ([5], False))
        """
        first = self.first_tokens(tokens)
        doubled = bool(first) and self._begins(tokens, first + first)
        return (tokens[len(first) :] if doubled else tokens), doubled

    def first_tokens(self, tokens: list[int]) -> tuple[int, ...]:
        """The beginning that a sequence has: what a later window of it begins with, too.

        Example:
            >>> Edges((1,)).first_tokens([1, 5]), Edges((), (), 1).first_tokens([1, 5])
            ((1,), (1,))
            >>> Edges((), (), 1).first_tokens([5, 1])
            ()
        """
        if self.beginning and self._begins(tokens, self.beginning):
            return self.beginning
        if self.begin_token is not None and tokens[:1] == [self.begin_token]:
            return (self.begin_token,)
        return ()

    @staticmethod
    def _begins(tokens: list[int], with_these: tuple[int, ...]) -> bool:
        return tuple(tokens[: len(with_these)]) == with_these


def find_edges(tokenizer: Any) -> Edges:
    """What a tokenizer puts around a text: told from one with and without special tokens.

    Raises:
        ModelError: the text's own tokens are not found between them.
    """
    for probe in _PROBES:
        bare = tokenizer(probe, add_special_tokens=False).input_ids
        if not bare:
            continue
        whole = tokenizer(probe).input_ids
        for start in range(len(whole) - len(bare) + 1):
            if whole[start : start + len(bare)] == bare:
                return Edges(
                    tuple(whole[:start]),
                    tuple(whole[start + len(bare) :]),
                    getattr(tokenizer, "bos_token_id", None),
                )
        break
    raise ModelError(
        "the tokenizer gives no text the same tokens with and without special ones, so what it "
        "puts around a text cannot be told; take another target"
    )
