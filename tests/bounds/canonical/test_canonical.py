"""The canonical decomposition against brute force over subsets and against the linear program."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds.canonical.concave_majorant import concave_majorant
from mdbound.bounds.canonical.decomposition import canonical_decomposition
from mdbound.bounds.canonical.prefix_increments import (
    with_replacement_increments,
    without_replacement_increments,
)
from mdbound.bounds.programs.importance_sampling import importance_sampling_lp
from mdbound.errors import InvalidDistributionError, InvalidSettingError
from tests.hard_rows import random_case
from tests.oracles.drafted_tuples import containment, tuple_law

LAWS = ("with_replacement", "without_replacement", "greedy")


@pytest.mark.parametrize("sampling", LAWS)
@pytest.mark.parametrize("seed", range(60))
def test_selected_law_is_feasible_and_optimal(seed: int, sampling: str) -> None:
    p, (q, *_), n = random_case(seed)
    decomposition = canonical_decomposition(p, q, n, sampling)
    law = tuple_law([q], n, sampling)
    assert decomposition.selected.min() >= 0.0
    assert decomposition.selected.sum() == pytest.approx(1.0, abs=1e-13)
    best = 1.0
    for chosen in itertools.product([False, True], repeat=len(p)):
        inside = list(chosen)
        contained = containment(law, np.flatnonzero(inside).tolist())
        assert math.fsum(decomposition.selected[inside]) >= contained - 1e-13
        best = min(best, 1.0 + math.fsum(p[inside]) - contained)
    assert decomposition.acceptance == pytest.approx(best, abs=1e-12)
    assert np.minimum(p, decomposition.selected).sum() == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("sampling", LAWS)
@pytest.mark.parametrize("seed", range(8))
def test_selected_law_is_the_closest_to_the_target(seed: int, sampling: str) -> None:
    """Of all optimal laws it has the least sum of p_I^2 / p; the linear program's has no less."""
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.ones(12)), rng.dirichlet(np.ones(12))
    closest = canonical_decomposition(p, q, 2, sampling)
    vertex = importance_sampling_lp(p, q, 2, sampling)
    assert closest.acceptance == pytest.approx(vertex.acceptance, abs=1e-9)
    assert (closest.selected**2 / p).sum() <= (vertex.selected**2 / p).sum() + 1e-9


@pytest.mark.parametrize("sampling", LAWS)
@pytest.mark.parametrize("num_drafts", [1, 2, 3, 8])
def test_full_vocabulary_agrees_with_the_dual(sampling: str, num_drafts: int) -> None:
    rng = np.random.default_rng(num_drafts)
    logits = 3.0 * rng.normal(size=151_936)
    p = bounds.distribution_from_logits(logits)
    q = bounds.distribution_from_logits(0.8 * logits + rng.normal(size=151_936))
    decomposition = canonical_decomposition(p, q, num_drafts, sampling)
    dual = bounds.optimal_acceptance(p, q, num_drafts, sampling)
    assert decomposition.acceptance == pytest.approx(dual, abs=1e-12)
    assert decomposition.selected.sum() == pytest.approx(1.0, abs=1e-12)
    blocks = decomposition.blocks
    assert (np.diff(blocks.slopes) <= 1e-9 * blocks.slopes[:-1]).all()
    assert blocks.starts[0] == 0
    assert blocks.starts[-1] == len(blocks.order)


def test_blocks_above_one_are_the_optimal_set() -> None:
    rng = np.random.default_rng(3)
    p, q = rng.dirichlet(np.ones(200)), rng.dirichlet(np.ones(200))
    decomposition = canonical_decomposition(p, q, 3)
    blocks = decomposition.blocks
    above = blocks.order[: blocks.starts[(blocks.slopes > 1.0).sum()]]
    assert sorted(above) == bounds.solve(p, q, 3).subset.tolist()


def test_zero_target_tokens_are_selected_only_when_nothing_else_is_drafted() -> None:
    p, q = np.array([0.0, 0.0, 1.0]), np.array([0.25, 0.25, 0.5])
    decomposition = canonical_decomposition(p, q, 2)
    assert decomposition.selected.tolist() == pytest.approx([0.0625, 0.1875, 0.75])
    assert decomposition.blocks.slopes[:2].tolist() == [np.inf, np.inf]
    assert decomposition.acceptance == pytest.approx(0.75)
    assert decomposition.accept_probability(0) == 0.0
    assert decomposition.residual().tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("seed", range(20))
def test_majorant_is_the_upper_hull(seed: int) -> None:
    rng = np.random.default_rng(seed)
    widths, heights = rng.random(12), rng.random(12)
    starts, slopes = concave_majorant(widths, heights)
    p, f = np.r_[0.0, np.cumsum(widths)], np.r_[0.0, np.cumsum(heights)]
    majorant = np.interp(p, p[starts], f[starts])
    for k in range(13):
        chords = [
            f[i] + (f[j] - f[i]) * (p[k] - p[i]) / (p[j] - p[i])
            for i in range(k + 1)
            for j in range(max(k, i + 1), 13)
        ]
        assert majorant[k] == pytest.approx(max([*chords, f[k]]), abs=1e-12)
    np.testing.assert_allclose(slopes, np.diff(f[starts]) / np.diff(p[starts]), rtol=1e-12)


@pytest.mark.parametrize("seed", range(30))
def test_increments_add_up_to_the_containments(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size, n = int(rng.integers(1, 8)), int(rng.integers(1, 6))
    q = 10.0 ** rng.uniform(-9, 0, size)
    q /= q.sum()
    law = tuple_law([q], n, "without_replacement")
    without = np.cumsum(without_replacement_increments(q, n))
    for k in range(size):
        assert without[k] == pytest.approx(containment(law, range(k + 1)), abs=1e-14)
    replaced = np.cumsum(with_replacement_increments(q, n))
    np.testing.assert_allclose(replaced, np.cumsum(q) ** n, rtol=1e-13)


def test_a_nearly_certain_token_keeps_the_others_apart() -> None:
    """Written as 1 - q, what the heavy token leaves to the others would be rounding noise."""
    q = np.array([1.0 - 3e-15, 1e-15, 2e-15])
    q /= q.sum()
    increments = without_replacement_increments(q, 2)
    assert increments[1] == pytest.approx(1 / 3, rel=1e-2)
    assert increments[1] == pytest.approx(q[1] / (q[1] + q[2]), abs=1e-12)


def test_bad_arguments_are_refused() -> None:
    half = [0.5, 0.5]
    with pytest.raises(InvalidSettingError, match="drafts of different laws from"):
        canonical_decomposition(
            np.full(500, 1 / 500), [np.full(500, 1 / 500)] * 2, 2, "independent"
        )
    with pytest.raises(InvalidDistributionError, match="one position, not 2 rows"):
        canonical_decomposition([half, half], half, 2)
    with pytest.raises(InvalidSettingError, match="num_drafts is 0"):
        canonical_decomposition(half, half, 0)
