"""Documents as token sequences, and batches of them with correct padding and positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mdbound.errors import InvalidSettingError, TextSourceError
from mdbound.logits_cache.text.conversations import Questions
from mdbound.logits_cache.text.documents import Document
from mdbound.logits_cache.text.sequences import Sequences

if TYPE_CHECKING:
    import torch


#: Padding tokens per passage that are not worth another forward pass.
FREE_PADDING = 64

#: Padded tokens to real ones at which a batch ends early: lower computes less padding in more
#: forward passes.
MOST_PADDING = 1.25

#: How a passage ended: an answer by its end token or by its limit; a window where its text ends, by
#: the limit of positions, or because another window goes on. Captures of earlier versions do not
#: know.
ENDINGS = ("end_token", "limit", "text", "window", "unknown")


@dataclass(frozen=True)
class Passage:
    """A run of tokens that models see at once: a prompt, an answered prompt, a window of a text.

    The row at index t holds the logits after `token_ids[t]`, which predict `token_ids[t + 1]`.
    Recorded rows are `first_row` to the last but one token.

    Attributes:
        doc_id: document it belongs to.
        task: task of the document.
        offset: position in the document that the first token has, or would have: rows are counted
            from here.
        first_row: index of the first recorded row.
        token_ids: the tokens.
        ended_by: one of `ENDINGS`.
        turn: which answer of its document it is asked for, counted from 0.
        most_rows: rows that its answer may still have, or None for as many as answers have.
    """

    doc_id: int
    task: str
    offset: int
    first_row: int
    token_ids: tuple[int, ...]
    ended_by: str = "unknown"
    turn: int = 0
    most_rows: int | None = None

    @property
    def rows(self) -> int:
        """Recorded rows."""
        return len(self.token_ids) - 1 - self.first_row

    @property
    def doc_ids(self) -> npt.NDArray[np.int64]:
        """The document's number, once per recorded row."""
        return np.full(self.rows, self.doc_id, dtype=np.int64)

    @property
    def positions(self) -> npt.NDArray[np.int64]:
        """Position in the document of each recorded row."""
        first = self.offset + self.first_row
        return np.arange(first, first + self.rows, dtype=np.int64)

    @property
    def answer(self) -> tuple[int, ...]:
        """What follows the first recorded row's token."""
        return self.token_ids[self.first_row + 1 :]

    def answered(self, answer: Sequence[int], ended_by: str) -> Passage:
        """This prompt, followed by its answer."""
        return replace(self, token_ids=(*self.token_ids, *answer), ended_by=ended_by)


@dataclass(frozen=True)
class PaddedBatch:
    """Sequences padded so that their anchors share a column.

    Padding left of short prompts and right of short answers leaves no wasted column between
    them: exactly the columns from the anchor on need logits.

    Attributes:
        input_ids: shape (B, T).
        attention_mask: 1 on real tokens, shape (B, T).
        position_ids: 0 on each sequence's first token, shape (B, T); on padding those of the
            nearest token, since some models look at the largest position of all.
        anchor: the shared column.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    position_ids: torch.Tensor
    anchor: int


def batches(
    passages: Sequence[Passage], batch_size: int, *, prompts: bool
) -> Iterator[Sequence[Passage]]:
    """Group consecutive passages; a group ends early where padding would cost more than it saves.

    One prompt of a thousand tokens would make its seven short neighbours as long as itself.

    Args:
        passages: what to group.
        batch_size: most passages of a group.
        prompts: whether they are prompts: then the grouping looks at these and not at their
            answers, so that it is the same before and after.
    """
    start = 0
    while start < len(passages):
        group = passages[start : start + batch_size]
        sizes = [item.first_row + 1 if prompts else len(item.token_ids) for item in group]
        count = len(sizes)
        while max(sizes[:count]) * count > MOST_PADDING * sum(sizes[:count]) + FREE_PADDING * count:
            count -= 1
        yield passages[start : start + count]
        start += count


def conversation_batches(
    answered: Sequence[Passage], batch_size: int
) -> Iterator[Sequence[Passage]]:
    """Group answered prompts as they were when they were captured, later turns among them.

    Conversations are asked in the groups of their first prompts; all that was answered in such a
    group is grouped again.

    Args:
        answered: prompts and answers, document by document and turn by turn.
        batch_size: most passages of a group.
    """
    turns: dict[int, list[Passage]] = {}
    for item in answered:
        turns.setdefault(item.doc_id, []).append(item)
    first = [of_document[0] for of_document in turns.values()]
    for group in batches(first, batch_size, prompts=True):
        together = [item for asked in group for item in turns[asked.doc_id]]
        yield from batches(together, batch_size, prompts=True)


def pad_batch(
    sequences: Sequence[Sequence[int]], anchors: Sequence[int], pad_id: int, device: str
) -> PaddedBatch:
    """Pad sequences on both sides so that index `anchors[b]` of each falls on one column.

    >>> batch = pad_batch([[5, 6, 7], [8]], [1, 0], pad_id=0, device="cpu")
    >>> batch.input_ids.tolist(), batch.anchor
    ([[5, 6, 7], [0, 8, 0]], 1)
    """
    import torch

    anchor = max(anchors)
    starts = [anchor - own for own in anchors]
    width = max(start + len(tokens) for start, tokens in zip(starts, sequences, strict=True))
    input_ids = torch.full((len(sequences), width), pad_id, dtype=torch.long)  # (B, T)
    mask = torch.zeros_like(input_ids)
    for row, (start, tokens) in enumerate(zip(starts, sequences, strict=True)):
        input_ids[row, start : start + len(tokens)] = torch.tensor(tokens)
        mask[row, start : start + len(tokens)] = 1
    columns = torch.arange(width)[None, :] - torch.tensor(starts)[:, None]
    last = torch.tensor([len(tokens) - 1 for tokens in sequences])[:, None]
    positions = columns.clamp(min=0).minimum(last)
    return PaddedBatch(input_ids.to(device), mask.to(device), positions.to(device), anchor)


def windows(
    documents: Sequence[Document],
    sequences: Sequences,
    *,
    max_context: int,
    max_positions: int | None,
    repeat_beginning: bool = True,
) -> Iterator[Passage]:
    """Cut each document into windows in which every token but the first is predicted once.

    A window starts with the token that ended the one before, and sees nothing further back; where
    the first begins with beginning tokens, it has them before that.

    Args:
        documents: texts, or conversations in the chat template.
        sequences: makes token sequences.
        max_context: tokens that a model sees at once.
        max_positions: most positions of a document, or None.
        repeat_beginning: whether later windows have the beginning of the first.

    Raises:
        TextSourceError: a document has fewer than two tokens.
        InvalidSettingError: the beginning leaves no room in a window.
    """
    for document in documents:
        # One token more than is recorded, to see whether the text goes on.
        most = None if max_positions is None else max_positions + 2
        if document.messages and not document.text:
            tokens = sequences.of_messages(document.messages, document.origin, to_answer=False)
        else:
            tokens = sequences.of_text(document.text, most)
        if len(tokens) < 2:
            raise TextSourceError(
                f"{document.origin} has {len(tokens)} token; scoring needs at least 2"
            )
        beginning = sequences.edges.first_tokens(tokens)
        again = beginning if repeat_beginning else ()
        for item in _windows_of(document, tokens, again, max_context, max_positions):
            sequences.counts.later_windows += bool(beginning) and item.offset + item.first_row > 0
            yield item


def _windows_of(
    document: Document,
    tokens: Sequence[int],
    beginning: tuple[int, ...],
    max_context: int,
    max_positions: int | None,
) -> Iterator[Passage]:
    positions = min(len(tokens) - 1, max_positions or len(tokens))
    start = 0
    while start < positions:
        before = beginning if start else ()
        room = max_context - len(before)
        if room < 1:
            raise InvalidSettingError(
                f"`max_context` {max_context} leaves no room beside the {len(before)} tokens that "
                "a window begins with; raise it, or turn `window_bos` off"
            )
        stop = min(start + room, positions)
        if stop < positions:
            ended_by = "window"
        else:
            ended_by = "text" if positions == len(tokens) - 1 else "limit"
        yield Passage(
            document.doc_id,
            document.task,
            start - len(before),
            len(before),
            (*before, *tokens[start : stop + 1]),
            ended_by,
        )
        start = stop


@dataclass(frozen=True)
class PromptLimit:
    """Room for prompts.

    Attributes:
        context: tokens that prompt and answer have together; None if any number fits.
        answer: longest answer in tokens.
        context_is_set: whether the context is a setting, and not what the models were made for.
    """

    context: int | None
    answer: int
    context_is_set: bool

    def fits(self, tokens: Sequence[int]) -> bool:
        """Whether the longest answer to a prompt has room after it."""
        return self.context is None or len(tokens) + self.answer <= self.context

    def check(self, tokens: Sequence[int], origin: str) -> None:
        """Refuse a prompt without room for an answer.

        Raises:
            InvalidSettingError: saying which setting makes room, if one does.
        """
        if self.context is None or self.fits(tokens):
            return
        left = self.context - len(tokens)
        remedies = [f"give `max_new_tokens` {left} or less"] if left > 0 else []
        remedies += ["raise `max_context` or leave it out"] if self.context_is_set else []
        whose = "`max_context`" if self.context_is_set else "the context that the models have,"
        raise InvalidSettingError(
            f"{origin} is a prompt of {len(tokens)} tokens; with answers of up to {self.answer} "
            f"that is more than {whose} {self.context}; "
            f"{', or '.join(remedies) or 'shorten or remove it'}"
        )


def prompts(
    documents: Sequence[Document],
    asked: Sequence[Questions],
    sequences: Sequences,
    *,
    chat_template: bool,
    limit: PromptLimit,
) -> Iterator[Passage]:
    """Tokenize the first prompt of each document.

    Args:
        documents: the documents.
        asked: what the target answers in each.
        sequences: makes token sequences.
        chat_template: whether prompts go through the chat template.
        limit: room for them.

    Raises:
        InvalidSettingError: a prompt leaves no room for its answer, or is a conversation and there
            is no template to put it in.
        TextSourceError: a prompt has no token, or the template refuses it.
    """
    for document, questions in zip(documents, asked, strict=True):
        if chat_template:
            tokens = sequences.of_messages(questions[0], document.origin, to_answer=True)
        else:
            tokens = sequences.of_text(_only_text(document, questions))
        if not tokens:
            raise TextSourceError(f"{document.origin} gives no token; remove it")
        limit.check(tokens, document.origin)
        sequences.count_ended(tokens)
        yield Passage(document.doc_id, document.task, 0, len(tokens) - 1, tuple(tokens))


def _only_text(document: Document, questions: Questions) -> str:
    if len(questions[0]) > 1:
        raise InvalidSettingError(
            f"{document.origin} is a conversation, and there is no chat template to put it in; "
            "take a target whose tokenizer has one, or leave it out"
        )
    if len(questions) > 1:
        raise InvalidSettingError(
            f"{document.origin} has {len(questions)} turns, and there is no chat template to put "
            "them in; give `turns` 1 to ask the first alone"
        )
    return questions[0][0].content
