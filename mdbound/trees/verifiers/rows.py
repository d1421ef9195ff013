"""Rows as arrays: float64, or `fractions.Fraction` where a model is written in fractions.

All verifiers compute with numpy arrays. Arrays of fractions give exact laws of tiny problems by the
same lines of code that run at full vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mdbound.errors import InvalidSettingError
from mdbound.paths.tiny.model import Model, Prefix, Row, row_of
from mdbound.trees.drafting.drafted_tree import DraftedTree

Array: TypeAlias = npt.NDArray[Any]
"""Of float64 or of fractions."""

Rows: TypeAlias = Mapping[Prefix, Array]
"""Rows by node."""


class RowArrays(Rows):
    """The checked rows of a model as arrays, each made once.

    Args:
        model: rows by prefix.
        name: `"target"` or `"draft"`, for messages.
    """

    def __init__(self, model: Model, name: str) -> None:
        self._model = model
        self._name = name
        self._made: dict[Prefix, Array] = {}

    def __getitem__(self, node: Prefix) -> Array:
        """The row of a node.

        Raises:
            InvalidDistributionError: it is no distribution.
            InvalidSettingError: it is missing.
        """
        if node not in self._made:
            self._made[node] = as_array(row_of(self._model, node, self._name))
        return self._made[node]

    def __iter__(self) -> Iterator[Prefix]:
        """Nodes with a row."""
        return iter(self._model)

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._model)


def as_array(row: Row) -> Array:
    """A row as an array: of fractions if it holds no float.

    Example:
        >>> as_array((Fraction(1, 2), Fraction(1, 2))).dtype, as_array((0.5, 0.5)).dtype
        (dtype('O'), dtype('float64'))
    """
    if isinstance(row, np.ndarray):
        return row
    if any(isinstance(value, float) for value in row):
        return np.array(row, dtype=np.float64)
    return np.array([Fraction(value) for value in row], dtype=object)


def positive_part(values: Array) -> Array:
    """max(value, 0), entry by entry.

    Example:
        >>> positive_part(np.array([0.5, -0.5])).tolist()
        [0.5, 0.0]
    """
    return np.asarray(np.maximum(values, 0))


def normalised(weights: Array, instead: Array) -> Array:
    """Weights scaled to sum to 1, or another row where all are 0.

    Example:
        >>> normalised(np.array([1.0, 3.0]), np.array([1.0, 0.0])).tolist()
        [0.25, 0.75]
    """
    total = weights.sum()
    return np.asarray(weights / total) if total > 0 else instead


def share(wanted: Any, drafted: Any) -> Any:
    """min(1, wanted / drafted), 0 where nothing is drafted.

    Example:
        >>> share(0.25, 0.5), share(0.5, 0.25), share(0.5, 0.0)
        (0.5, 1, 0)
    """
    if not drafted > 0:
        return 0
    return min(1, wanted / drafted)


def without(row: Array, token: int) -> Array:
    """A row without a token, renormalised; all 0 if nothing else has mass.

    Example:
        >>> without(np.array([0.5, 0.25, 0.25]), 0).tolist()
        [0.0, 0.5, 0.5]
    """
    left = row.copy()
    left[token] = row[token] * 0
    return normalised(left, left)


def draft_rows(draft: Rows | Sequence[Rows], tree: DraftedTree, node: Prefix) -> list[Array]:
    """The row that each token of a node's list was drawn from.

    Args:
        draft: rows of q by node; or one such mapping for each path.
        tree: the drafted tree.
        node: one of its internal nodes.

    Raises:
        InvalidSettingError: a mapping for each path, and the tree is not one of paths.

    Example:
        >>> row = np.array([0.5, 0.5])
        >>> len(draft_rows({(): row}, DraftedTree({(): (0, 1)}), ()))
        2
    """
    if isinstance(draft, Mapping):
        return [draft[node]] * len(tree.drafted[node])
    paths = tree.paths()
    if len(draft) != len(paths):
        raise InvalidSettingError(
            f"`draft` is {len(draft)} models for {len(paths)} paths: give one, or one for each"
        )
    return [draft[k][node] for k, path in enumerate(paths) if path[: len(node)] == node]


def one_draft(draft: Rows | Sequence[Rows], verifier: str) -> Rows:
    """The draft's rows, for what is defined for paths of one law.

    Raises:
        InvalidSettingError: one model for each path.
    """
    if not isinstance(draft, Mapping):
        raise InvalidSettingError(
            f"`draft` is {len(draft)} models: verifier {verifier!r} is for trees drafted from one; "
            "take 'nss', 'first_draft', 'rrs_with_replacement' or 'block_first_path' for several"
        )
    return draft
