"""The gradient of the optimum against differences, and what a step along it does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mdbound import bounds
from mdbound.errors import InvalidSettingError

STEP = 1e-6
CASES = [
    *[("with_replacement", n) for n in (1, 2, 3, 5)],
    *[("without_replacement", n) for n in (1, 2)],
    *[("greedy", n) for n in (1, 2, 3)],
    *[("independent", n) for n in (2, 3)],
]


def rows(seed: int, law: str, n: int) -> tuple[np.ndarray, Any]:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(4, 12))
    p, *drafts = rng.dirichlet(np.ones(size), size=n + 1)
    return p, list(drafts) if law == "independent" else drafts[0]


def moved(draft: Any, direction: Any, step: float) -> Any:
    if isinstance(draft, list):
        return [moved(q, d, step) for q, d in zip(draft, direction, strict=True)]
    found = draft + step * direction
    return found / found.sum()


@pytest.mark.parametrize(("law", "n"), CASES)
def test_differences(law: str, n: int) -> None:
    smooth = 0
    for seed in range(40):
        p, draft = rows(seed, law, n)
        gradient = bounds.acceptance_gradient(p, draft, n, law)
        direction = np.random.default_rng(seed + 1000).normal(size=gradient.shape)
        direction *= np.asarray(draft)  # no token leaves the support

        def value(step: float, p: Any = p, draft: Any = draft, d: Any = direction) -> float:
            return float(bounds.optimal_acceptance(p, moved(draft, d, step), n, law))

        forward = (value(STEP) - value(0.0)) / STEP
        backward = (value(0.0) - value(-STEP)) / STEP
        if abs(forward - backward) > 1e-4:
            continue  # the optimal set changes here
        smooth += 1
        assert (gradient * direction).sum() == pytest.approx((forward + backward) / 2, abs=2e-5)
    assert smooth > 30


@pytest.mark.parametrize(("law", "n"), CASES)
def test_it_is_orthogonal_to_the_draft(law: str, n: int) -> None:
    for seed in range(20):
        p, draft = rows(seed, law, n)
        gradient = bounds.acceptance_gradient(p, draft, n, law)
        assert np.abs((gradient * np.asarray(draft)).sum(axis=-1)).max() < 1e-12


def test_through_a_softmax_a_step_along_it_raises_the_optimum() -> None:
    rng = np.random.default_rng(0)
    p, logits = rng.dirichlet(np.ones(50)), rng.normal(size=50)
    for n in (1, 2, 4):
        z = logits.copy()
        values = []
        for _ in range(30):
            q = bounds.distribution_from_logits(z)
            values.append(float(bounds.optimal_acceptance(p, q, n)))
            z += 2.0 * q * bounds.acceptance_gradient(p, q, n)
        assert values[-1] > values[0] + 0.01
        assert values[-1] == max(values[0], values[-1])


def test_a_wrong_gradient_is_noticed() -> None:
    """Control: without the factor n the differences disagree."""
    p, q = rows(3, "with_replacement", 3)
    gradient = bounds.acceptance_gradient(p, q, 3) / 3.0
    direction = np.random.default_rng(5).normal(size=q.shape) * q
    plus, minus = (
        float(bounds.optimal_acceptance(p, moved(q, direction, step), 3)) for step in (STEP, -STEP)
    )
    assert abs((plus - minus) / (2 * STEP) - gradient @ direction) > 1e-3


def test_where_the_optimum_is_1_there_is_nothing_to_gain() -> None:
    p = np.array([0.5, 0.3, 0.2])
    for law in ("with_replacement", "without_replacement"):
        assert not bounds.acceptance_gradient(p, p, 2, law).any()


def test_what_has_no_gradient_is_refused() -> None:
    p, q = rows(0, "without_replacement", 3)
    with pytest.raises(InvalidSettingError, match="known for n up to 2"):
        bounds.acceptance_gradient(p, q, 3, "without_replacement")
    with pytest.raises(InvalidSettingError, match="did you mean"):
        bounds.acceptance_gradient(p, q, 3, "with_replacemen")
