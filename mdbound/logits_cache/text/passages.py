"""Documents as token sequences, and batches of them with correct padding and positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mdbound.errors import InvalidSettingError, TextSourceError
from mdbound.logits_cache.text.documents import Document

if TYPE_CHECKING:
    import torch


#: Padding tokens per passage that are not worth another forward pass.
FREE_PADDING = 64

#: Padded tokens to real ones at which a batch ends early: lower computes less padding in more
#: forward passes.
MOST_PADDING = 1.25


@dataclass(frozen=True)
class Passage:
    """A run of tokens that models see at once: a prompt, an answered prompt, a window of a text.

    The row at index t holds the logits after `token_ids[t]`, which predict `token_ids[t + 1]`.
    Recorded rows are `first_row` to the last but one token.

    Attributes:
        doc_id: document it belongs to.
        task: task of the document.
        offset: position in the document of the first token.
        first_row: index of the first recorded row.
        token_ids: the tokens.
    """

    doc_id: int
    task: str
    offset: int
    first_row: int
    token_ids: tuple[int, ...]

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

    def answered(self, answer: Sequence[int]) -> Passage:
        """This prompt, followed by its answer."""
        return replace(self, token_ids=(*self.token_ids, *answer))


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


def batches(passages: Sequence[Passage], batch_size: int) -> Iterator[Sequence[Passage]]:
    """Group consecutive passages; a group ends early where padding would cost more than it saves.

    One prompt of a thousand tokens would make its seven short neighbours as long as itself. The
    grouping looks at prompts and not at their answers, so that it is the same before and after.
    """
    start = 0
    while start < len(passages):
        sizes = [_prompt_size(item) for item in passages[start : start + batch_size]]
        count = len(sizes)
        while max(sizes[:count]) * count > MOST_PADDING * sum(sizes[:count]) + FREE_PADDING * count:
            count -= 1
        yield passages[start : start + count]
        start += count


def _prompt_size(item: Passage) -> int:
    return item.first_row + 1 if item.first_row else len(item.token_ids)


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
    tokenizer: Any,
    *,
    max_context: int,
    max_positions: int | None,
) -> Iterator[Passage]:
    """Cut each document into windows in which every token but the first is predicted once.

    A window starts with the token that ended the one before, and sees nothing further back.

    Raises:
        TextSourceError: a document has fewer than two tokens.
    """
    for document in documents:
        tokens = tokenizer(document.text).input_ids
        if len(tokens) < 2:
            raise TextSourceError(
                f"{document.origin} has {len(tokens)} token; scoring needs at least 2"
            )
        tokens = tokens[: None if max_positions is None else max_positions + 1]
        for start in range(0, len(tokens) - 1, max_context):
            window = tuple(tokens[start : start + max_context + 1])
            yield Passage(document.doc_id, document.task, start, 0, window)


def prompts(
    documents: Sequence[Document],
    tokenizer: Any,
    *,
    chat_template: bool,
    max_prompt: float,
) -> Iterator[Passage]:
    """Tokenize each document as a prompt to answer.

    Raises:
        InvalidSettingError: a prompt has more than `max_prompt` tokens.
        TextSourceError: a prompt has no token.
    """
    for document in documents:
        if chat_template:
            tokens = tokenizer.apply_chat_template(
                [{"role": "user", "content": document.text}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=False,
            )
        else:
            tokens = tokenizer(document.text).input_ids
        if not tokens:
            raise TextSourceError(f"{document.origin} gives no token; remove it")
        if len(tokens) > max_prompt:
            raise InvalidSettingError(
                f"{document.origin} is a prompt of {len(tokens)} tokens, which leaves no room for "
                f"the answer (at most {max_prompt}); raise `max_context` or leave it out"
            )
        yield Passage(document.doc_id, document.task, 0, len(tokens) - 1, tuple(tokens))
