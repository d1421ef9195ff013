"""Samplers run the algorithms: exact rates within 4 standard errors, outputs that follow p."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from mdbound import schemes
from mdbound.schemes.contract.results import NO_TOKEN, Samples
from mdbound.schemes.k_seq import KSeq
from mdbound.schemes.rrs_without_replacement import RRSWithoutReplacement
from mdbound.schemes.sampling.draws import draw_tokens

SIZE = 1_000_000
FAMILY_ERROR = 1e-3
"""Chance that any losslessness test fails though all schemes are lossless (Bonferroni)."""

P = np.array([0.32, 0.0, 0.25, 0.13, 0.18, 0.12])
Q = np.array([0.10, 0.2, 0.20, 0.00, 0.45, 0.05])

SETTINGS = [
    (name, n) for name in schemes.names() for n in (1, 2, 3) if schemes.get(name).supports(n)
]


def chi_square_p_value(output: np.ndarray, law: np.ndarray) -> float:
    counts = np.bincount(output, minlength=len(law))
    if counts[law == 0.0].any():
        return 0.0
    expected = law[law > 0.0] * len(output)
    statistic = ((counts[law > 0.0] - expected) ** 2 / expected).sum()
    return float(chi2.sf(statistic, len(expected) - 1))


def standard_error(rate: float, size: int = SIZE) -> float:
    return max(np.sqrt(rate * (1.0 - rate) / size), 1.0 / size)


@pytest.mark.parametrize(("name", "n"), SETTINGS)
def test_rates_and_output_law(name: str, n: int) -> None:
    scheme = schemes.get(name)
    rng = np.random.default_rng([n, *name.encode()])
    samples = scheme.sample(P, Q, n, rng, SIZE)
    rate = scheme.acceptance(P, Q, n)
    accept, membership = samples.accepted.mean(), samples.membership.mean()
    assert abs(accept - rate.accept) <= 4.0 * standard_error(rate.accept)
    assert abs(membership - rate.membership) <= 4.0 * standard_error(rate.membership)
    assert (samples.membership | ~samples.accepted).all()
    assert chi_square_p_value(samples.output, P) > FAMILY_ERROR / len(SETTINGS)
    assert samples.drafts.shape == (SIZE, n)


@pytest.mark.parametrize(("name", "n"), SETTINGS)
def test_same_seed_same_samples(name: str, n: int) -> None:
    first, second = (
        schemes.get(name).sample(P, Q, n, np.random.default_rng(3), 50) for _ in range(2)
    )
    for field in ("drafts", "output", "accepted"):
        np.testing.assert_array_equal(getattr(first, field), getattr(second, field))


@pytest.mark.parametrize(("name", "n"), SETTINGS)
def test_frequencies_given_the_drafted_tuple(name: str, n: int) -> None:
    """Branch probabilities against the runs that drafted one particular tuple."""
    scheme = schemes.get(name)
    samples = scheme.sample(P, Q, n, np.random.default_rng([9, n]), 200_000)
    tuples, inverse, counts = np.unique(
        samples.drafts, axis=0, return_inverse=True, return_counts=True
    )
    for which in np.argsort(counts)[-3:]:
        output = samples.output[inverse.ravel() == which]
        drafted = [int(x) for x in tuples[which]]
        for token, probability in scheme.branch_probabilities(P, Q, drafted).items():
            error = standard_error(probability, len(output))
            assert abs((output == token).mean() - probability) <= 4.5 * error, (drafted, token)


@pytest.mark.parametrize("name", schemes.names())
def test_drafts_are_never_tokens_of_zero_probability(name: str) -> None:
    scheme = schemes.get(name)
    n = 2 if scheme.supports(2) else 1
    drafts = scheme.sample(P, Q, n, np.random.default_rng(4), 10_000).drafts
    assert 3 not in drafts


@pytest.mark.parametrize("name", ["rrs_without_replacement", "greedy"])
def test_exhausted_support_is_padded(name: str) -> None:
    q = np.array([0.7, 0.3, 0.0])
    p = np.array([0.2, 0.3, 0.5])
    samples = schemes.get(name).sample(p, q, 4, np.random.default_rng(0), 20_000)
    assert (samples.drafts[:, 2:] == NO_TOKEN).all()
    assert set(np.unique(samples.drafts[:, :2])) == {0, 1}
    assert samples.membership.mean() == pytest.approx(0.5, abs=0.02)
    assert chi_square_p_value(samples.output, p) > 1e-4


def test_point_mass_hub_drafts_one_token() -> None:
    p, q = np.array([0.4, 0.6]), np.array([1.0, 0.0])
    samples = schemes.get("spechub").sample(p, q, 2, np.random.default_rng(0), 20_000)
    assert (samples.drafts == [0, NO_TOKEN]).all()
    assert samples.membership.mean() == pytest.approx(0.4, abs=0.02)
    assert chi_square_p_value(samples.output, p) > 1e-4


class _KSeqOnDistinctDrafts(KSeq):
    """Deliberately wrong: K-SEQ is lossless for independent drafts only."""

    def _draw(self, p, drafts, rng, size) -> Samples:  # type: ignore[no-untyped-def]
        distinct = RRSWithoutReplacement()._draw(p, drafts, rng, size).drafts
        rho = 1.5
        passed = rng.random(distinct.shape) * rho * drafts[0][distinct] < p[distinct]
        fired = passed.any(axis=1)
        output = distinct[np.arange(size), passed.argmax(axis=1)]
        residual = np.maximum(p - rho * drafts[0], 0.0)
        output[~fired] = draw_tokens(residual, rng, int((~fired).sum()))
        return Samples(distinct, output, fired)


def test_chi_square_catches_a_scheme_that_is_not_lossless() -> None:
    samples = _KSeqOnDistinctDrafts().sample(P, Q, 2, np.random.default_rng(0), 20_000)
    assert chi_square_p_value(samples.output, P) < 1e-10
