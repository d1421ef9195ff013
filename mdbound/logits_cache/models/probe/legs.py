"""Runs of a probe: one sequence in other surroundings, which should give the same logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdbound.logits_cache.models.forward import Forward

if TYPE_CHECKING:
    import torch

#: Columns of padding beside a sequence: a shift by any number shows.
PADDING = 3


@dataclass(frozen=True)
class Legs:
    """The runs on one network.

    Attributes:
        call: the network.
        device: where it is.
        pad_id: token of padding columns.
        counted: whether `position_ids` are passed, counted from each sequence's first token.
        rests: whether one token is run before each sequence, which makes dynamic rope forget.
    """

    call: Forward
    device: str
    pad_id: int
    counted: bool = False
    rests: bool = False

    def plain(self, tokens: Sequence[int]) -> torch.Tensor:
        """Logits of a sequence alone, with nothing passed but its tokens; shape (T, V)."""
        import torch

        self._rest()
        row = torch.tensor([list(tokens)], device=self.device)
        logits: torch.Tensor = self.call(row, use_cache=False).logits[0].float()
        return logits

    def with_positions(self, tokens: Sequence[int]) -> torch.Tensor:
        """Logits of a sequence alone with mask and positions."""
        return self._batch([tokens], [0], len(tokens))[0]

    def together(self, tokens: Sequence[int], longer: Sequence[int]) -> list[torch.Tensor]:
        """Logits of a sequence padded on both sides, and continued, in one batch.

        Args:
            tokens: the sequence, of T tokens.
            longer: a longer one that begins with it; the other is padded to its length.

        Returns:
            Twice shape (T, V).
        """
        left = (len(longer) - len(tokens) + 1) // 2
        rows = self._batch([tokens, longer], [left, 0], len(longer))
        return [row[: len(tokens)] for row in rows]

    def padded(self, tokens: Sequence[int]) -> list[torch.Tensor]:
        """Logits of a sequence padded left and padded right, each of shape (T, V)."""
        return self._batch([tokens, tokens], [PADDING, 0], len(tokens) + PADDING)

    def beside(self, tokens: Sequence[int], longer: Sequence[int]) -> torch.Tensor:
        """Logits of a sequence padded left to the length of a longer one beside it."""
        return self._batch([tokens, longer], [len(longer) - len(tokens), 0], len(longer))[0]

    def stepped(self, tokens: Sequence[int], steps: int, padding: int) -> list[torch.Tensor]:
        """Logits of the last tokens of a sequence, each run on the cache of those before it.

        Args:
            tokens: the sequence.
            steps: tokens that are run one by one.
            padding: columns of padding on the left.

        Returns:
            Logits of shape (steps, V); nothing if the network keeps no key-value cache.
        """
        import torch

        first = len(tokens) - steps
        ids, mask, positions = self._tensors([tokens[:first]], [padding], first + padding)
        self._rest()
        output = self.call(ids, mask, position_ids=positions, logits_to_keep=1, use_cache=True)
        rows = []
        for index in range(first, len(tokens)):
            past = getattr(output, "past_key_values", None)
            if past is None or not self.call.takes_cache:
                return []
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
            token = torch.tensor([[tokens[index]]], device=self.device)
            output = self.call(
                token,
                mask,
                position_ids=torch.full_like(token, index) if self.counted else None,
                use_cache=True,
                past_key_values=past,
            )
            rows.append(output.logits[0, -1].float())
        return [torch.stack(rows)]

    def _batch(
        self, sequences: Sequence[Sequence[int]], starts: Sequence[int], width: int
    ) -> list[torch.Tensor]:
        ids, mask, positions = self._tensors(sequences, starts, width)
        self._rest()
        logits = self.call(ids, mask, position_ids=positions, use_cache=False).logits
        return [
            logits[row, start : start + len(tokens)].float()
            for row, (tokens, start) in enumerate(zip(sequences, starts, strict=True))
        ]

    def _tensors(
        self, sequences: Sequence[Sequence[int]], starts: Sequence[int], width: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        import torch

        ids = torch.full((len(sequences), width), self.pad_id)
        mask = torch.zeros_like(ids)
        positions = torch.arange(width).repeat(len(sequences), 1)
        for row, (tokens, start) in enumerate(zip(sequences, starts, strict=True)):
            real = slice(start, start + len(tokens))
            ids[row, real] = torch.tensor(list(tokens))
            mask[row, real] = 1
            positions[row] = (positions[row] - start).clamp(0, len(tokens) - 1)
        placed = positions.to(self.device) if self.counted else None
        return ids.to(self.device), mask.to(self.device), placed

    def _rest(self) -> None:
        import torch

        if self.rests:
            self.call(torch.tensor([[self.pad_id]], device=self.device))


def difference(found: torch.Tensor, reference: torch.Tensor) -> float | None:
    """Largest difference between logits; None if one of them alone is not a number.

    Entries that are the same infinity, or no numbers on both sides, do not differ.

    Example:
        >>> import torch
        >>> inf = float("inf")
        >>> difference(torch.tensor([1.0, -inf]), torch.tensor([1.5, -inf]))
        0.5
    """
    same = (found == reference) | (found.isnan() & reference.isnan())
    largest = float((found - reference).abs().masked_fill(same, 0.0).max())
    return largest if largest < float("inf") else None
