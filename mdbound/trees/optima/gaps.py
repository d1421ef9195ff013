"""How far verifiers stay below both optima, over a series of random tiny models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mdbound.paths.tiny.model import Model
from mdbound.trees.drafting.paths_law import Paths
from mdbound.trees.optima.depth_bound import depth_bound
from mdbound.trees.optima.optimum import optimal_value
from mdbound.trees.verifiers.verifier import TreeVerifier


@dataclass(frozen=True)
class InstanceValues:
    """Values of one pair of models.

    Attributes:
        one_call: optimum over verifiers that leave a fresh target behind.
        carried: optimum over those that carry state.
        depth_bound: S.
        lengths: E tau of each verifier, by name.
    """

    one_call: float
    carried: float
    depth_bound: float
    lengths: dict[str, float]


@dataclass(frozen=True)
class Gap:
    """A mean over instances of what is missing to the optimum of one call.

    Attributes:
        mean: of optimum less value; negative for what lies above it.
        standard_error: of the mean, instances being independent.
        largest: over the instances.
    """

    mean: float
    standard_error: float
    largest: float


def instance_values(
    target: Model, draft: Model, law: Paths, verifiers: Sequence[TreeVerifier]
) -> InstanceValues:
    """Both optima, the bound by depth, and what verifiers reach.

    Raises:
        InvalidDistributionError: a row that is no distribution.
        InvalidSettingError: a missing row, more trees than can be enumerated, or a verifier that
            does not suit such trees.
        UnsolvedError: HiGHS ended without an optimum.

    Example:
        >>> from mdbound import trees
        >>> model = {(): (0.5, 0.5)}
        >>> found = instance_values(model, model, trees.Paths(1, 1), [trees.verifier("gbv")])
        >>> round(found.one_call, 9), found.lengths
        (1.0, {'gbv': 1.0})
    """
    for rule in verifiers:
        rule.refuse(law)
    return InstanceValues(
        optimal_value(target, draft, law, "one_call").value,
        optimal_value(target, draft, law, "carried").value,
        float(depth_bound(target, draft, law)),
        {rule.name: float(rule.expected_length(target, draft, law)) for rule in verifiers},
    )


def gaps_of(values: Sequence[InstanceValues]) -> dict[str, Gap]:
    """Mean gaps to the optimum of one call: of each verifier, `"carried"` and `"depth_bound"`.

    Example:
        >>> one = InstanceValues(1.0, 1.0, 1.0, {"gbv": 0.75})
        >>> gaps_of([one, one])["gbv"].mean
        0.25
    """
    of_bounds: dict[str, Callable[[InstanceValues], float]] = {
        "carried": lambda one: one.carried,
        "depth_bound": lambda one: one.depth_bound,
    }
    found = {
        name: _gap([one.one_call - of(one) for one in values]) for name, of in of_bounds.items()
    }
    for name in values[0].lengths:
        found[name] = _gap([one.one_call - one.lengths[name] for one in values])
    return found


def _gap(missing: Sequence[float]) -> Gap:
    array = np.array(missing)
    error = array.std(ddof=1) / np.sqrt(len(array)) if len(array) > 1 else np.nan
    return Gap(float(array.mean()), float(error), float(array.max()))
