"""Coefficients of both forms from a part of the contexts: convex, by L-BFGS on a smoothed bound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mdbound.trees.optima.path_bound.design import ContextDesigns, Design
from mdbound.trees.optima.path_bound.forms import Gate, gate_prices_along, psi_prices_along
from mdbound.trees.optima.path_bound.hats import Floats
from mdbound.trees.optima.path_bound.smooth import soft_largest, soft_positive
from mdbound.trees.optima.path_bound.subsets import path_groups

#: Sharpness of the stand-ins, from smooth to nearly exact: each fit starts where the one before
#: ended. The last is off by log(nodes)/100 at most.
SHARPNESS = (8.0, 20.0, 50.0, 100.0)

#: Iterations of each: more gain nothing out of sample.
ITERATIONS = 150


def fit_psi(designs: ContextDesigns, num_paths: int, ridge: float) -> Floats:
    """Coefficients of the psi form that make the bound on these contexts least, (L, B).

    Args:
        designs: Of the contexts.
        num_paths: K.
        ridge: Times the sum of squares of the coefficients, added to the bound.
    """
    groups = path_groups(len(designs.has_text), designs.num_paths, num_paths)
    root = designs.roots.mean(axis=0)
    shape = designs.drafted.token.shape[1:]

    def loss(flat: Floats, sharpness: float) -> tuple[float, Floats]:
        psi = flat.reshape(shape)
        prices = psi_prices_along(designs.drafted, psi)
        value, slope = soft_largest(prices, groups, sharpness)
        grad = _psi_slope(designs.drafted, slope)
        grad[0] += root
        value += float(root @ psi[0]) + ridge * float(flat @ flat)
        return value, grad.ravel() + 2.0 * ridge * flat

    start = np.full(shape, 0.5).ravel()
    return _least(loss, start, np.zeros(start.size)).reshape(shape)


def _psi_slope(design: Design, slope: Floats) -> Floats:
    """Derivatives by psi, from those by prices."""
    later = _later(slope)
    grad = -np.einsum("nl,nlb->lb", later, design.token)
    grad[1:] += np.einsum("nl,nlb->lb", later[:, :-1], design.target[:, 1:])
    return np.asarray(grad)


def fit_gate(designs: ContextDesigns, num_paths: int, psi: Floats, ridge: float) -> Gate:
    """Coefficients of the gate form, started at the psi form and held to it.

    Args:
        designs: Of contexts that all have a text.
        num_paths: K.
        psi: The fitted psi form, of L = 2 or more.
        ridge: Times the squared distance from it.
    """
    begin = Gate.of_psi(psi)
    groups = path_groups(len(designs.has_text), designs.num_paths, num_paths)
    start = _flat(begin)
    worth = designs.drafted.worth(psi)[:, 1:]
    text_worth = designs.text.worth(psi)

    def loss(flat: Floats, sharpness: float) -> tuple[float, Floats]:
        gate = _gate(flat, begin)
        prices = gate_prices_along(designs.drafted, gate)
        value, slope = soft_largest(prices, groups, sharpness)
        later = _later(slope)
        above = designs.drafted.token[:, :-1]
        eta = -np.einsum("nl,nlb->lb", later[:, :-1], above)
        kappa = np.einsum("nl,nlb->lb", later[:, :-1] * worth, above)
        last = -later[:, -1] @ designs.drafted.token[:, -1]
        text, of_text = _text_loss(designs.text, gate, text_worth, sharpness)
        grad = _flat(
            Gate(eta + of_text.eta, kappa + of_text.kappa, of_text.chi, last + of_text.last, psi)
        )
        away = flat - start
        return value + text + ridge * float(away @ away), grad + 2.0 * ridge * away

    floor = np.full(start.size, -np.inf)
    floor[-psi.shape[1] :] = 0.0
    return _gate(_least(loss, start, floor), begin)


def _text_loss(design: Design, gate: Gate, worth: Floats, sharpness: float) -> tuple[float, Gate]:
    """Mean of the smoothed R_0 and its derivatives, shaped as a gate."""
    count, length, size = design.token.shape
    rest = design.target[:, -1] @ gate.last
    slopes = np.empty((length - 1, count))
    for depth in range(length - 2, -1, -1):
        token = design.token[:, depth]
        gained = token @ gate.eta[depth] - (token @ gate.kappa[depth]) * worth[:, depth + 1]
        rest, slopes[depth] = soft_positive(gained + rest, sharpness)
        if depth:
            rest = rest - (token - design.target[:, depth]) @ gate.chi[depth]
    eta, kappa, chi = (np.zeros((length - 1, size)) for _ in range(3))
    weight = np.full(count, 1.0 / count)
    for depth in range(length - 1):
        token = design.token[:, depth]
        if depth:
            chi[depth] = -weight @ (token - design.target[:, depth])
        weight = weight * slopes[depth]
        eta[depth] = weight @ token
        kappa[depth] = -(weight * worth[:, depth + 1]) @ token
    last = weight @ design.target[:, -1]
    return float(rest.mean()), Gate(eta, kappa, chi, last, gate.worth)


def _later(slope: Floats) -> Floats:
    """Derivatives by the steps: a step moves its own node and all that come later."""
    return np.asarray(np.cumsum(slope[:, ::-1], axis=1)[:, ::-1])


def _flat(gate: Gate) -> Floats:
    return np.concatenate([gate.eta.ravel(), gate.kappa.ravel(), gate.chi.ravel(), gate.last])


def _gate(flat: Floats, like: Gate) -> Gate:
    each = like.eta.size
    eta, kappa, chi = (flat[each * i : each * (i + 1)].reshape(like.eta.shape) for i in range(3))
    return Gate(eta, kappa, chi, flat[3 * each :], like.worth)


def _least(
    loss: Callable[[Floats, float], tuple[float, Floats]], start: Floats, floor: Floats
) -> Floats:
    from scipy.optimize import Bounds, minimize

    found = start
    for sharpness in SHARPNESS:
        found = minimize(
            loss,
            found,
            args=(sharpness,),
            jac=True,
            method="L-BFGS-B",
            bounds=Bounds(floor, np.full(start.size, np.inf)),
            options={"maxiter": ITERATIONS},
        ).x
    return np.asarray(found)
