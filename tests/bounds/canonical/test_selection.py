"""The two-step scheme: selection weights, losslessness and optimality by enumeration and draws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds.canonical.decomposition import CanonicalDecomposition, canonical_decomposition
from mdbound.bounds.canonical.gauss_compression import gauss_compression
from mdbound.bounds.canonical.weights import solve_block
from mdbound.errors import InvalidSettingError, UnsolvedError
from tests.hard_rows import random_distribution


def enumerate_scheme(
    decomposition: CanonicalDecomposition,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Law of the selected token, law of the output, and P(output among the drafts)."""
    p, q, n = decomposition.target, decomposition.draft, decomposition.num_drafts
    selected, output, member = np.zeros_like(p), np.zeros_like(p), 0.0
    residual = decomposition.residual()
    for drafted in itertools.product(np.flatnonzero(q).tolist(), repeat=n):
        weight = math.prod(q[token] for token in drafted)
        given = np.zeros_like(p)
        for token, probability in decomposition.selection_probabilities(drafted).items():
            selected[token] += weight * probability
            kept = probability * decomposition.accept_probability(token)
            given[token] += kept
            given += (probability - kept) * residual
        output += weight * given
        member += weight * given[list(set(drafted))].sum()
    return selected, output, member


@pytest.mark.parametrize("seed", range(150))
def test_scheme_is_lossless_and_optimal(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size, n = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    q = random_distribution(rng, size)
    p = q if seed % 7 == 0 else random_distribution(rng, size)
    decomposition = canonical_decomposition(p, q, n)
    selected, output, member = enumerate_scheme(decomposition)
    np.testing.assert_allclose(selected, decomposition.selected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(output, p, rtol=0, atol=1e-10)
    assert member == pytest.approx(bounds.optimal_acceptance(p, q, n), abs=1e-10)


@pytest.mark.parametrize("num_drafts", [2, 3, 4, 8])
@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_every_block_matches_its_marginals(num_drafts: int, noise: float) -> None:
    """All tokens of every block of a larger vocabulary, by an integral of another kind."""
    rng = np.random.default_rng(num_drafts)
    logits = 3.0 * rng.normal(size=600)
    p = bounds.distribution_from_logits(logits)
    q = bounds.distribution_from_logits(0.8 * logits + noise * rng.normal(size=600))
    decomposition = canonical_decomposition(p, q, num_drafts)
    blocks = decomposition.blocks
    mass = np.r_[0.0, np.cumsum(q[blocks.order])]
    nodes, gauss = np.polynomial.legendre.leggauss(400)
    largest = np.argsort(-np.diff(blocks.starts), kind="stable")[:12]
    for block in largest[np.diff(blocks.starts)[largest] > 1]:
        start, end = blocks.starts[block], blocks.starts[block + 1]
        members = blocks.order[start:end]
        ratio = decomposition.selected[members] / q[members]
        weights = solve_block(q[members], ratio, mass[start], num_drafts)
        log_weight = weights.log_weight(ratio)
        # n q a times the integral of e^(-x a) phi(x)^(n-1) over x, with x = e^t, t by Gauss.
        span = [-log_weight.max() - 37.0, -log_weight.min() + 4.0]
        t = 0.5 * (span[1] - span[0]) * (nodes + 1.0) + span[0]
        decay = np.exp(-np.exp(log_weight[:, None] + t))
        phi = mass[start] + q[members] @ decay
        kernel = np.exp(log_weight[:, None] + t) * decay
        integral = kernel @ (0.5 * (span[1] - span[0]) * gauss * phi ** (num_drafts - 1))
        marginal = num_drafts * q[members] * integral
        np.testing.assert_allclose(marginal, decomposition.selected[members], rtol=1e-9)
        assert np.abs(marginal - decomposition.selected[members]).max() <= 1e-10


@pytest.mark.parametrize("num_drafts", [2, 4])
def test_draws_at_full_vocabulary_have_the_target_law(num_drafts: int) -> None:
    rng = np.random.default_rng(7)
    logits = 3.0 * rng.normal(size=49_152)
    p = bounds.distribution_from_logits(logits)
    q = bounds.distribution_from_logits(0.8 * logits + rng.normal(size=49_152))
    decomposition = canonical_decomposition(p, q, num_drafts)
    draws = 100_000
    drafted = np.searchsorted(np.cumsum(q), rng.random((draws, num_drafts))).clip(max=49_151)
    token = decomposition.select(drafted, rng)
    keep = np.array([decomposition.accept_probability(y) for y in range(len(p))])
    accepted = rng.random(draws) < keep[token]
    rate, error = accepted.mean(), math.sqrt(decomposition.acceptance / draws)
    assert abs(rate - decomposition.acceptance) < 4.0 * error
    heavy = np.argsort(-decomposition.selected)[:50]
    counts = np.bincount(token, minlength=len(p))[heavy] / draws
    expected = decomposition.selected[heavy]
    assert (np.abs(counts - expected) < 4.5 * np.sqrt(expected / draws)).all()


def test_select_and_selection_probabilities_agree() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6))
    decomposition = canonical_decomposition(p, q, 3)
    for drafted in [(0, 1, 2), (3, 3, 5), (4, 2, 4)]:
        law = decomposition.selection_probabilities(drafted)
        token = decomposition.select(np.tile(drafted, (20_000, 1)), rng)
        for choice, probability in law.items():
            spread = 4.5 * math.sqrt(probability * (1 - probability) / 20_000) + 1e-12
            assert abs((token == choice).mean() - probability) <= spread


def test_equal_tokens_are_selected_in_proportion_to_their_draws() -> None:
    flat = np.full(4, 0.25)
    decomposition = canonical_decomposition(flat, flat, 3)
    law = decomposition.selection_probabilities([2, 0, 2])
    assert law == pytest.approx({2: 2 / 3, 0: 1 / 3})


@pytest.mark.parametrize("seed", range(20))
def test_compression_integrates_smooth_functions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = np.sort(5.0 * rng.normal(size=int(rng.integers(1, 3_000))))
    points[: len(points) // 4] = points[0]  # Ties in the first bin.
    masses = 10.0 ** rng.uniform(-9, 0, len(points))
    few, weights = gauss_compression(points, masses, np.floor(points).astype(int))
    assert len(few) <= min(len(points), 7 * (np.ptp(points) + 2))
    assert (weights > 0.0).all()
    for scale in (0.1, 1.0, 10.0):
        exact = masses @ np.exp(-scale * np.exp(points))
        assert weights @ np.exp(-scale * np.exp(few)) == pytest.approx(
            exact, abs=1e-10 * masses.sum()
        )


def test_bad_arguments_are_refused() -> None:
    rule = canonical_decomposition([0.5, 0.5, 0.0], [0.5, 0.5, 0.0], 2)
    with pytest.raises(InvalidSettingError, match="3 drafted tokens given"):
        rule.selection_probabilities([0, 1, 0])
    with pytest.raises(InvalidSettingError, match="drafted token 2 cannot be drafted"):
        rule.selection_probabilities([0, 2])
    with pytest.raises(InvalidSettingError, match="drafted token 9 cannot be drafted"):
        rule.selection_probabilities([9, 0])
    with pytest.raises(InvalidSettingError, match=r"give \(size, 2\)"):
        rule.select([[0, 1, 1]], np.random.default_rng(0))


def test_marginals_that_no_rule_has_are_an_error() -> None:
    with pytest.raises(UnsolvedError, match="Newton steps"):
        solve_block(np.array([0.5, 0.5]), np.array([0.1, 0.2]), 0.0, 2)


@pytest.mark.parametrize("num_drafts", [7, 8, 12])
def test_a_block_of_one_ratio(num_drafts: int) -> None:
    """p = q: every drafted token is as good, so each draw is as likely to be selected."""
    decomposition = canonical_decomposition([0.5, 0.5], [0.5, 0.5], num_drafts)
    found = decomposition.selection_probabilities([0] * (num_drafts - 1) + [1])
    assert found[0] == pytest.approx((num_drafts - 1) / num_drafts, abs=1e-9)
    assert found[1] == pytest.approx(1 / num_drafts, abs=1e-9)


ALMOST_APART = (
    [0.9993387352209665, 0.0006612647790334992, 5.566962863036439e-26],
    [0.9998588175050903, 0.00013228795138107746, 8.894543528594094e-06],
    5,
)


def selected_by_enumeration(decomposition: CanonicalDecomposition) -> np.ndarray:
    """Law of the selected token over all multisets of drafts, with their multiplicities."""
    q, n = decomposition.draft, decomposition.num_drafts
    law = np.zeros_like(q)
    for drafted in itertools.combinations_with_replacement(np.flatnonzero(q).tolist(), n):
        counts = [drafted.count(token) for token in set(drafted)]
        ways = math.factorial(n) / math.prod(map(math.factorial, counts))
        weight = ways * math.prod(float(q[token]) for token in drafted)
        if weight > 0.0:
            for token, share in decomposition.selection_probabilities(drafted).items():
                law[token] += weight * share
    return law


def test_a_block_that_almost_falls_apart_is_solved() -> None:
    decomposition = canonical_decomposition(*ALMOST_APART)
    law = selected_by_enumeration(decomposition)
    np.testing.assert_allclose(law, decomposition.selected, rtol=0, atol=1e-13)
    assert decomposition.selection_probabilities([0, 1, 1, 1, 1])[1] == pytest.approx(1.0)


def test_without_the_cut_it_has_no_weights() -> None:
    """Control: the same block whole is what Newton's method gives up on."""
    p, q, n = ALMOST_APART
    order = [2, 0, 1]
    draft = np.array(q)[order]
    with pytest.raises(UnsolvedError, match="Newton steps"):
        solve_block(draft, np.array(p)[order] / draft, 0.0, n)


@pytest.mark.parametrize("seed", range(300))
def test_prefixes_that_nearly_touch(seed: int) -> None:
    """p near the increments of containment: one in fifteen failed before blocks were cut."""
    rng = np.random.default_rng(seed)
    size, n = int(rng.integers(3, 7)), int(rng.integers(2, 7))
    q = rng.dirichlet(np.ones(size)) if seed % 2 else 10.0 ** rng.uniform(-8, 0, size)
    q = np.sort(q / q.sum())
    containment = np.cumsum(q) ** n
    containment[-1] = 1.0
    off = 10.0 ** rng.uniform(-17, -1, size) * rng.choice([-1, 0, 1], size)
    p = np.maximum(np.diff(containment, prepend=0.0) * (1.0 + off), 0.0)
    decomposition = canonical_decomposition(p / p.sum(), q / q.sum(), n)
    law = selected_by_enumeration(decomposition)
    np.testing.assert_allclose(law, decomposition.selected, rtol=0, atol=1e-11)
