"""Which tokens a model's logits are of, where that is not one column for each token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mdbound.errors import ModelError

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LogitColumns:
    """Columns of a model's logits, and the tokens that they are of; it lacks the other tokens.

    Attributes:
        columns: the columns that count, shape (K,).
        tokens: the token of each, shape (K,).
        vocab_size: tokens in all, V.
    """

    columns: Int64Array
    tokens: Int64Array
    vocab_size: int

    @classmethod
    def first(cls, count: int, vocab_size: int) -> LogitColumns:
        """The first `count` columns, each of the token of its number."""
        numbers = np.arange(count)
        return cls(numbers, numbers, vocab_size)

    @property
    def lacking(self) -> Int64Array:
        """Tokens that no column is of, in order.

        Example:
            >>> LogitColumns.first(3, 5).lacking.tolist()
            [3, 4]
        """
        return np.setdiff1d(np.arange(self.vocab_size), self.tokens)

    def placed(self, logits: Any) -> Any:
        """Logits of all tokens, minus infinity where the model lacks one.

        Args:
            logits: a tensor of shape (..., width).

        Returns:
            A tensor of shape (..., V).

        Raises:
            ModelError: there are fewer columns than the model's configuration says.
        """
        width, needed = logits.shape[-1], int(self.columns.max()) + 1
        if width < needed:
            raise ModelError(
                f"a model puts out {width} logits, and its configuration says {needed} or more; "
                "correct vocab_size there, or draft_vocab_size"
            )
        columns, tokens = (logits.new_tensor(each).long() for each in (self.columns, self.tokens))
        placed = logits.new_full((*logits.shape[:-1], self.vocab_size), -np.inf)
        placed[..., tokens] = logits[..., columns]
        return placed
