"""Several drafts at each node of a full tree: what one number a position tells.

Children are drawn independently at every node, and a one-position scheme verifies node by node.
Then P(depth >= l | text) is the product over the first l tokens of b(y) = P(output y and y
drafted) / p(y), which `schemes.get(name).token_acceptance` gives.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mdbound.bounds.problem.array_types import FloatArray
from mdbound.paths.call_starts import call_starts
from mdbound.paths.checks import check_draft_length, check_probabilities, check_text_length
from mdbound.paths.tails import windows

ROUNDING = 1e-9
"""How far above 1 a ratio of two rounded probabilities may lie."""


def node_tail(token_acceptance: npt.ArrayLike) -> FloatArray:
    """P(accepted depth >= l | text), l = 1..L, verified node by node: running products of b.

    The optimal scheme at each node gives the optimum among rules that go node by node. With one
    draft that is token-by-token verification, so it is no bound on rules that verify a block.

    Args:
        token_acceptance: b of each token of the window, shape (..., L).

    Returns:
        The same shape.

    Raises:
        InvalidDistributionError: NaN, or a number outside [0, 1].

    Example:
        >>> node_tail([1.0, 0.5, 0.5]).tolist()
        [1.0, 0.5, 0.25]
    """
    return np.asarray(np.cumprod(_checked(token_acceptance), axis=-1), dtype=np.float64)


def node_text_tail(token_acceptance: npt.ArrayLike, draft_length: int) -> FloatArray:
    """`node_tail` of the windows that start at each token of one text, for `tally_windows`.

    Args:
        token_acceptance: b of each token of the text, shape (N,).
        draft_length: L, the depth of the trees.

    Returns:
        Shape (N, L), 0 beyond the end of the text.

    Raises:
        InvalidDistributionError: NaN, a number outside [0, 1], or fewer than two tokens.
        InvalidSettingError: a draft length below 1.

    Example:
        >>> node_text_tail([0.5, 0.5], 2).tolist()
        [[0.5, 0.25], [0.5, 0.0]]
    """
    b = _checked(token_acceptance)
    length = check_draft_length(draft_length)
    check_text_length(len(b))
    return np.asarray(np.cumprod(windows(b, length, 0.0), axis=-1), dtype=np.float64)


def node_calls(token_acceptance: npt.ArrayLike, draft_length: int) -> float:
    """E[target calls | text] with a full tree of depth L at each call, verified node by node.

    The formula is linear in each b: independent unbiased estimates of them leave it unbiased.

    Args:
        token_acceptance: b of each token of the text, shape (N,).
        draft_length: L, the depth of the trees.

    Raises:
        InvalidDistributionError: NaN, a number outside [0, 1], or fewer than two tokens.
        InvalidSettingError: a draft length below 1.

    Example:
        >>> node_calls([0.5, 0.5, 0.5], 1)
        2.25
    """
    return float(call_starts(node_text_tail(token_acceptance, draft_length)).sum())


def _checked(token_acceptance: npt.ArrayLike) -> FloatArray:
    b = check_probabilities(token_acceptance, "token_acceptance", 1.0 + ROUNDING)
    return np.minimum(b, 1.0)
