"""Prices along paths as functions of hats, in two forms, and what texts add."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mdbound.trees.optima.path_bound.design import ContextDesigns, Design
from mdbound.trees.optima.path_bound.hats import Floats
from mdbound.trees.optima.path_bound.subsets import mean_largest


@dataclass(frozen=True)
class Gate:
    """Coefficients of the gate form.

    Attributes:
        eta: By depth of the context of a token, (L - 1, B).
        kappa: Likewise.
        chi: Likewise; the first row is not used.
        last: psi of the last token, 0 or more, (B,).
        worth: psi of a fitted psi form, (L, B), whose means below a token are m.
    """

    eta: Floats
    kappa: Floats
    chi: Floats
    last: Floats
    worth: Floats

    @classmethod
    def of_psi(cls, psi: Floats) -> Gate:
        """The gate that is the psi form.

        Hats sum to 1, so that kappa is 1 everywhere.

        Example:
            >>> Gate.of_psi(np.ones((2, 3))).kappa.tolist()
            [[1.0, 1.0, 1.0]]
        """
        above = psi[:-1]
        return cls(above, np.ones_like(above), above, psi[-1], psi)


def psi_prices_along(design: Design, psi: Floats) -> Floats:
    """Prices at the nodes of depth 1..L, f(xt) = f(x) + 1 - psi(x, t) + c(xt); (N, L).

    Args:
        design: Of the paths.
        psi: Coefficients, (L, B), 0 or more.

    Example:
        >>> one = np.ones((1, 2, 1))
        >>> psi_prices_along(Design(one, one, one), np.array([[0.25], [0.5]])).tolist()
        [[1.25, 1.75]]
    """
    steps = 1.0 - np.einsum("nlb,lb->nl", design.token, psi)
    steps[:, :-1] += design.worth(psi)[:, 1:]
    return np.asarray(np.cumsum(steps, axis=1))


def gate_prices_along(design: Design, gate: Gate) -> Floats:
    """Prices at the nodes: f(x) + 1 - eta + kappa m(xt), and f(x) + 1 - psi at the last; (N, L)."""
    steps = np.empty(design.token.shape[:2])
    above = design.token[:, :-1]
    worth = design.worth(gate.worth)[:, 1:]
    steps[:, :-1] = 1.0 - np.einsum("nlb,lb->nl", above, gate.eta)
    steps[:, :-1] += np.einsum("nlb,lb->nl", above, gate.kappa) * worth
    steps[:, -1] = 1.0 - design.token[:, -1] @ gate.last
    return np.asarray(np.cumsum(steps, axis=1))


def gate_text(design: Design, gate: Gate) -> Floats:
    """R_0 of texts, (n,)."""
    worth = design.worth(gate.worth)
    rest = design.target[:, -1] @ gate.last
    for depth in range(design.token.shape[1] - 2, -1, -1):
        token = design.token[:, depth]
        gained = token @ gate.eta[depth] - (token @ gate.kappa[depth]) * worth[:, depth + 1]
        rest = np.maximum(gained + rest, 0.0)
        if depth:
            rest = rest - (token - design.target[:, depth]) @ gate.chi[depth]
    return np.asarray(rest)


def psi_values(designs: ContextDesigns, psi: Floats, num_paths: int) -> Floats:
    """The psi form of the bound at each context, (n,): its mean is the bound."""
    drafted = psi_prices_along(designs.drafted, psi)
    return np.asarray(_largest(drafted, designs, num_paths) + designs.roots @ psi[0])


def gate_values(designs: ContextDesigns, gate: Gate, num_paths: int) -> Floats:
    """The gate form at each context, (n,); the psi form where there is no text."""
    drafted = np.where(
        np.repeat(designs.has_text, designs.num_paths)[:, None],
        gate_prices_along(designs.drafted, gate),
        psi_prices_along(designs.drafted, gate.worth),
    )
    text = np.where(designs.has_text, gate_text(designs.text, gate), designs.roots @ gate.worth[0])
    return _largest(drafted, designs, num_paths) + text


def _largest(prices: Floats, designs: ContextDesigns, num_paths: int) -> Floats:
    """The mean of the largest price, the context's 0 included."""
    best = np.maximum(prices.max(axis=1), 0.0)
    return mean_largest(best.reshape(-1, designs.num_paths), num_paths)
