"""The types of arrays, one name for each."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
"""Probabilities, sums of them, and values of the objective."""

IntArray: TypeAlias = npt.NDArray[np.int64]
"""Token ids, ranks and counts."""

BoolArray: TypeAlias = npt.NDArray[np.bool_]
"""Masks over tokens or rows."""

LogitsRow: TypeAlias = npt.NDArray[np.float32]
"""Raw logits of one position, shape (V,), as captures hold them."""

LogitsRows: TypeAlias = npt.NDArray[np.float32]
"""Raw logits of a batch, shape (B, V)."""
