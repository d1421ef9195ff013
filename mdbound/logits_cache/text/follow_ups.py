"""Later turns of conversations: prompts that hold the target's own answers as history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mdbound.logits_cache.text.conversations import ASSISTANT, Message, Questions
from mdbound.logits_cache.text.passages import Passage, PromptLimit
from mdbound.logits_cache.text.sequences import Sequences


@dataclass(frozen=True)
class FollowUps:
    """The prompts after the first ones.

    Attributes:
        asked: by document, what the target answers in it.
        origins: by document, where it stands, for messages.
        sequences: makes token sequences.
        limit: room for prompts; a conversation ends where its next prompt has none.
        max_positions: most positions of a document, or None; a conversation ends there, too.
    """

    asked: Mapping[int, Questions]
    origins: Mapping[int, str]
    sequences: Sequences
    limit: PromptLimit
    max_positions: int | None = None

    @property
    def prompts(self) -> int:
        """Prompts of all documents, first and later ones, if all have room."""
        return sum(len(questions) for questions in self.asked.values())

    def after(self, answered: Sequence[Passage]) -> Passage | None:
        """The next prompt of a document, or None if it has no more, or no room for it.

        Answers go into it as texts, without their end tokens, as a server would be sent them.

        Args:
            answered: the document's prompts and answers so far, in order.

        Raises:
            TextSourceError: the chat template refuses the conversation.
        """
        last = answered[-1]
        questions = self.asked[last.doc_id]
        left = None
        if self.max_positions is not None:
            left = self.max_positions - sum(passage.rows for passage in answered)
        if len(answered) == len(questions) or left == 0:
            return None
        said: list[Message] = []
        for before, passage in zip(questions, answered, strict=False):
            said += [*before, Message(ASSISTANT, self._text_of(passage))]
        said += questions[len(answered)]
        origin = self.origins[last.doc_id]
        tokens = self.sequences.of_messages(said, origin, to_answer=True)
        if not self.limit.fits(tokens):
            return None
        # A template may shorten what was said before; positions of a document stay distinct.
        next_position = last.offset + len(last.token_ids) - 1
        first_row = len(tokens) - 1
        return Passage(
            last.doc_id,
            last.task,
            max(0, next_position - first_row),
            first_row,
            tuple(tokens),
            turn=len(answered),
            most_rows=left,
        )

    def _text_of(self, passage: Passage) -> str:
        return str(self.sequences.tokenizer.decode(passage.answer, skip_special_tokens=True))
