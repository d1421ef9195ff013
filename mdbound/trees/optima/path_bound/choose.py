"""Knots, ridge and coefficients of both forms, all from one part of the contexts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdbound.trees.optima.path_bound.controls import Controls, fit_controls
from mdbound.trees.optima.path_bound.design import ContextDesigns, designs_of
from mdbound.trees.optima.path_bound.features import PathFeatures
from mdbound.trees.optima.path_bound.fit import fit_gate, fit_psi
from mdbound.trees.optima.path_bound.forms import Gate, gate_values, psi_values
from mdbound.trees.optima.path_bound.hats import BASES, Floats

#: Ridges of the psi form, towards 0, and of the gate form, towards the psi form: small ones for
#: thousands of contexts, large ones for a hundred.
PSI_RIDGES = (1e-4, 1e-3, 1e-2)
GATE_RIDGES = (1e-4, 1e-3, 1e-2)

#: Contexts without which nothing is fitted.
FEWEST = 8


@dataclass(frozen=True)
class Coefficients:
    """Prices of one form.

    Attributes:
        basis: Number of the basis in `BASES`.
        psi: Of the psi form, (L, B).
        gate: Of the gate form; None for the psi form.
        ridge: That they were fitted with.
    """

    basis: int
    psi: Floats
    gate: Gate | None
    ridge: float

    @property
    def form(self) -> str:
        """`psi` or `gate`."""
        return "psi" if self.gate is None else "gate"

    def designs(self, features: PathFeatures) -> ContextDesigns:
        """Arrays of the basis, for paths as long as the coefficients are for."""
        return designs_of(features, self.basis, BASES[self.basis], len(self.psi))

    def values(self, designs: ContextDesigns, num_paths: int) -> Floats:
        """The bound at each context, (n,)."""
        if self.gate is None:
            return psi_values(designs, self.psi, num_paths)
        return gate_values(designs, self.gate, num_paths)


@dataclass(frozen=True)
class Fitted:
    """One form, ready to be reported on other contexts.

    Attributes:
        coefficients: Its prices.
        num_paths: K.
        score: Mean bound on contexts of the fitting part that it was not fitted on; what forms
            are chosen by.
        controls: Control variates, of the fitting part.
    """

    coefficients: Coefficients
    num_paths: int
    score: float
    controls: Controls

    def report(self, features: PathFeatures, contexts: NDArray[np.int64]) -> Floats:
        """The bound at other contexts, (n,): unbiased for a number no verifier exceeds."""
        designs = self.coefficients.designs(features).of(contexts)
        values = self.coefficients.values(designs, self.num_paths)
        return self.controls.taken_from(values, designs)


def fit_forms(
    features: PathFeatures,
    folds: Sequence[NDArray[np.int64]],
    num_paths: int,
    length: int,
    on_step: Callable[[], None] | None = None,
) -> dict[str, Fitted]:
    """Both forms, fitted to contexts and chosen among knots and ridges by folds of them.

    Args:
        features: Of all contexts.
        folds: Two sets of contexts that share no document.
        num_paths: K.
        length: L.
        on_step: Called after each of `fits_of(length)` fits.

    Returns:
        By form; the gate form is missing at L = 1, and where too few contexts have a text.
    """
    step = on_step or (lambda: None)
    every = np.concatenate(folds)
    designs = {
        place: designs_of(features, place, basis, length) for place, basis in enumerate(BASES)
    }
    scores: dict[tuple[int, float], float] = {}
    halves: dict[tuple[int, float], list[Floats]] = {}
    for place, design in designs.items():
        for ridge in PSI_RIDGES:
            made = [fit_psi(design.of(fold), num_paths, ridge) for fold in folds]
            halves[place, ridge] = made
            scores[place, ridge] = _crossed(
                [Coefficients(place, psi, None, ridge) for psi in made],
                design, folds, num_paths,
            )  # fmt: skip
            step()
    place, ridge = min(scores, key=lambda key: scores[key])
    own = designs[place]
    psi = Coefficients(place, fit_psi(own.of(every), num_paths, ridge), None, ridge)
    found = {"psi": _fitted(psi, own.of(every), num_paths, scores[place, ridge])}
    with_text = [fold[own.has_text[fold]] for fold in folds]
    if length < 2 or min(len(fold) for fold in with_text) < FEWEST:
        return found
    gate_scores: dict[float, float] = {}
    for each in GATE_RIDGES:
        made_gates = [
            Coefficients(place, part, fit_gate(own.of(fold), num_paths, part, each), each)
            for part, fold in zip(halves[place, ridge], with_text, strict=True)
        ]
        gate_scores[each] = _crossed(made_gates, own, folds, num_paths)
        step()
    best = min(gate_scores, key=lambda key: gate_scores[key])
    gate = fit_gate(own.of(np.concatenate(with_text)), num_paths, psi.psi, best)
    made_gate = Coefficients(place, psi.psi, gate, best)
    return found | {"gate": _fitted(made_gate, own.of(every), num_paths, gate_scores[best])}


def fits_of(length: int) -> int:
    """How many steps `fit_forms` takes, at most."""
    return len(BASES) * len(PSI_RIDGES) + (len(GATE_RIDGES) if length > 1 else 0)


def given_forms(
    given: Mapping[str, Coefficients],
    features: PathFeatures,
    contexts: NDArray[np.int64],
    num_paths: int,
) -> dict[str, Fitted]:
    """Coefficients of another capture, with control variates from these contexts.

    Args:
        given: By form.
        features: Of all contexts.
        contexts: Those that forms are compared on.
        num_paths: K.
    """
    found = {}
    for form, coefficients in given.items():
        designs = coefficients.designs(features).of(contexts)
        score = float(coefficients.values(designs, num_paths).mean())
        found[form] = _fitted(coefficients, designs, num_paths, score)
    return found


def _fitted(
    coefficients: Coefficients, designs: ContextDesigns, num_paths: int, score: float
) -> Fitted:
    controls = fit_controls(coefficients.values(designs, num_paths), designs)
    return Fitted(coefficients, num_paths, score, controls)


def _crossed(
    made: Sequence[Coefficients],
    designs: ContextDesigns,
    folds: Sequence[NDArray[np.int64]],
    num_paths: int,
) -> float:
    """Mean over contexts of coefficients that were fitted to the other fold, with controls."""
    values = []
    for coefficients, fitted_on, tried_on in zip(made, folds, folds[::-1], strict=True):
        own, other = designs.of(fitted_on), designs.of(tried_on)
        controls = fit_controls(coefficients.values(own, num_paths), own)
        values.append(controls.taken_from(coefficients.values(other, num_paths), other))
    return float(np.concatenate(values).mean())
