"""Every bound on each half of the documents, its parameters from the other half."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdbound.analysis.path_bound.contexts import BoundContexts, Floats
from mdbound.analysis.path_bound.depth_forms import depth_forms
from mdbound.analysis.statistics.halves import halves
from mdbound.errors import InvalidSettingError
from mdbound.trees import Paths
from mdbound.trees.optima.path_bound.choose import (
    Coefficients,
    Fitted,
    fit_forms,
    fits_of,
    given_forms,
)

#: Of the results: the bound that was least on the half that it was fitted on.
PATH_BOUND = "path_bound"

#: Names of the forms in results.
FORMS = {"psi": "path_bound_psi", "gate": "path_bound_gate"}

#: Documents without which no halves of halves can be made.
FEWEST_DOCUMENTS = 4


@dataclass(frozen=True)
class HalfReport:
    """What was fitted on one half.

    Attributes:
        documents: The half that it was fitted on.
        chosen: Name of the bound that was least there.
        fitted: Both forms, by name in results.
    """

    documents: tuple[int, ...]
    chosen: str
    fitted: Mapping[str, Fitted]


@dataclass(frozen=True)
class CrossedBounds:
    """The bounds of one law.

    Attributes:
        values: By name in results, (n,): of each context, with parameters from the other half.
        halves: What was fitted on each half.
    """

    values: Mapping[str, Floats]
    halves: tuple[HalfReport, HalfReport]


def crossed_bounds(
    contexts: BoundContexts,
    law: Paths,
    given: Mapping[str, Coefficients] | None = None,
    on_step: Callable[[], None] | None = None,
) -> CrossedBounds:
    """Bounds of a law at every context.

    Args:
        contexts: Of four documents or more.
        law: K paths of L tokens.
        given: Coefficients of another capture, by form, in place of a fit.
        on_step: Called after each of `steps_of(law)` steps.

    Raises:
        InvalidSettingError: Fewer documents.
    """
    documents = contexts.places.doc_id
    if len(np.unique(documents)) < FEWEST_DOCUMENTS:
        raise InvalidSettingError(
            f"`documents`: {len(np.unique(documents))} with paths; the bound is fitted on one half "
            f"of them and reported on the other: capture {FEWEST_DOCUMENTS} or more"
        )
    from threadpoolctl import threadpool_limits

    # The arrays are small: threads that wait for each other cost more than they compute.
    with threadpool_limits(limits=1, user_api="blas"):
        return _crossed(contexts, law, given, on_step)


def _crossed(
    contexts: BoundContexts,
    law: Paths,
    given: Mapping[str, Coefficients] | None,
    on_step: Callable[[], None] | None,
) -> CrossedBounds:
    documents = contexts.places.doc_id
    parts = [np.flatnonzero(np.isin(documents, half)) for half in halves(documents.tolist())]
    values: dict[str, Floats] = {}
    reports = []
    for own, other in (parts, parts[::-1]):
        fitted = _forms(contexts, law, own, given, on_step)
        found = {
            FORMS[form]: each.report(contexts.features, other) for form, each in fitted.items()
        }
        scores = {FORMS[form]: each.score for form, each in fitted.items()}
        folds = _folds(documents, own)
        for name, values_of in depth_forms(contexts, law, folds[0]).items():
            if name not in depth_forms(contexts, law, folds[1]):
                continue
            found[name] = values_of(contexts, law, own, other)
            tried = [values_of(contexts, law, *each) for each in (folds, folds[::-1])]
            scores[name] = float(np.concatenate(tried).mean())
        chosen = min(scores, key=lambda name: scores[name])
        found[PATH_BOUND] = found[chosen]
        for name, each in found.items():
            values.setdefault(name, np.full(len(documents), np.nan))[other] = each
        reports.append(
            HalfReport(
                tuple(np.unique(documents[own]).tolist()),
                chosen,
                {FORMS[form]: each for form, each in fitted.items()},
            )
        )
    whole = {name: each for name, each in values.items() if not np.isnan(each).any()}
    return CrossedBounds(whole, (reports[0], reports[1]))


def steps_of(law: Paths) -> int:
    """Steps of `crossed_bounds`, at most.

    Example:
        >>> steps_of(Paths(2, 1)) < steps_of(Paths(2, 2))
        True
    """
    return 2 * fits_of(law.depth)


def _forms(
    contexts: BoundContexts,
    law: Paths,
    own: NDArray[np.int64],
    given: Mapping[str, Coefficients] | None,
    on_step: Callable[[], None] | None,
) -> dict[str, Fitted]:
    if given is not None:
        return given_forms(given, contexts.features, own, law.num_paths)
    folds = _folds(contexts.places.doc_id, own)
    return fit_forms(contexts.features, folds, law.num_paths, law.depth, on_step)


def _folds(
    documents: NDArray[np.int64], own: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A half of the contexts in two, by documents."""
    first, _ = halves(documents[own].tolist())
    inside = np.isin(documents[own], first)
    return own[inside], own[~inside]
