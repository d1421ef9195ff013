"""Standard errors are those of what is computed: z-scores of many seeds have spread 1."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound.schemes.importance_sampling import ImportanceSampling
from mdbound.schemes.rrs_without_replacement import RRSWithoutReplacement
from mdbound.schemes.sampling.streams import standard_errors, stratified_errors


def softmax_pair(seed: int, vocab_size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = 2.0 * rng.normal(size=vocab_size)
    noisy = logits + rng.normal(size=vocab_size)
    p, q = (np.exp(each) / np.exp(each).sum() for each in (logits, noisy))
    return p, q


SEEDS = 1000


def scores_of_rejection(paths: int) -> np.ndarray:
    p, q = softmax_pair(3, vocab_size=40)
    exact = RRSWithoutReplacement().acceptance_curve(p, q, 4)
    assert not np.any(exact.standard_error)
    found = []
    for seed in range(SEEDS):
        scheme = RRSWithoutReplacement(max_exact_paths=0, paths=paths, seed=seed)
        rough = scheme.acceptance_curve(p, q, 4)
        found.append((rough.membership[2:] - exact.membership[2:]) / rough.standard_error[2:])
    return np.array(found)


@pytest.mark.parametrize("paths", [200, 201])
def test_rejection_paths(paths: int) -> None:
    """Strata are credited: counted as independent runs, the spread was 0.6."""
    scores = scores_of_rejection(paths)
    assert np.all(np.abs(scores.mean(axis=0)) < 4 / np.sqrt(SEEDS))
    spread = scores.std(axis=0)
    assert np.all((spread > 0.9) & (spread < 1.1)), spread


def test_residual_hits() -> None:
    rng = np.random.default_rng(1)
    p, q = rng.dirichlet(np.ones(30), size=2)
    exact = ImportanceSampling(threshold=3).acceptance(p, q, 4)
    scores = []
    for seed in range(SEEDS):
        scheme = ImportanceSampling(threshold=3, max_exact_steps=0, runs=300, seed=seed)
        rough = scheme.acceptance(p, q, 4)
        scores.append((rough.membership - exact.membership) / rough.standard_error)
    assert abs(np.mean(scores)) < 4 / np.sqrt(SEEDS)
    assert 0.9 < np.std(scores) < 1.1


def test_strata_are_what_makes_the_difference() -> None:
    """Control: of stratified runs the error of independent ones is several times too wide."""
    rng = np.random.default_rng(0)
    means, stratified, independent = [], [], []
    for _ in range(500):
        values = ((np.arange(100) + rng.random(100)) / 100)[:, None] ** 2
        means.append(values.mean())
        stratified.append(stratified_errors(values, np.array([1.0]))[0])
        independent.append(standard_errors(values, np.array([1.0]))[0])
    # One more run is counted at the largest value, which is most of an error as small as this.
    assert np.std(means) < np.mean(stratified) < 0.2 * np.mean(independent)


def test_a_rare_run_that_is_not_seen_is_allowed_for() -> None:
    none = np.zeros((99, 1))
    assert stratified_errors(none, np.array([1.0]))[0] == pytest.approx(1 / 99)
