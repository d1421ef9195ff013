"""A set that gains no more than the stated error is not reported: rounding would pick it."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds.problem.solution import AcceptanceCurve

LAWS = bounds.SAMPLING_LAWS


def pair_with_gain(gain: float, vocab_size: int) -> tuple[np.ndarray, np.ndarray]:
    """p, and q that has `gain` more of one token: what one draft loses, under every law."""
    p = np.full(vocab_size, 1.0 / vocab_size)
    q = p.copy()
    q[0] += gain
    q[1] -= gain
    return p, q


def drafts_of(q: np.ndarray, law: str, count: int) -> object:
    return [q] * count if law == "independent" else q


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("vocab_size", [4, 1024, 32_768])
def test_rounding_picks_no_set(law, vocab_size):
    p, q = pair_with_gain(2.0**-50 / vocab_size, vocab_size)
    curve = bounds.solve_curve(p, drafts_of(q, law, 3), 3, law)
    assert (curve.subset_size == 0).all()
    for masses in (curve.target_mass, curve.draft_mass, curve.containment):
        assert (masses == 0.0).all()
    assert (np.abs(curve.acceptance - 1.0) <= curve.error_bound).all()


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("gain", "size"), [(0.25, 0), (4.0, 1)])
def test_a_set_counts_from_the_stated_error_on(law, gain, size):
    p, q = pair_with_gain(0.0, 64)
    bound = bounds.solve_curve(p, drafts_of(q, law, 1), 1, law).error_bound[0, 0]
    p, q = pair_with_gain(gain * bound, 64)
    curve = bounds.solve_curve(p, drafts_of(q, law, 1), 1, law)
    assert curve.subset_size.tolist() == [[size]]
    assert curve.acceptance[0, 0] == pytest.approx(1.0 - gain * bound, abs=bound)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("gain", [1e-15, 1e-3])
def test_the_set_of_a_solution_is_that_of_its_curve(law, gain):
    p, q = pair_with_gain(gain, 6)
    for n in (1, 2):
        drafts = drafts_of(q, law, n)
        solution = bounds.solve(p, drafts, n, law)
        curve = bounds.solve_curve(p, drafts, n, law)
        assert len(solution.subset) == curve.subset_size[0, -1]
        proven = solution.certificate.check(p, drafts)
        assert proven.error_of(solution.acceptance) <= solution.error_bound


def test_rows_that_were_not_solved_stay_so():
    curve = AcceptanceCurve.empty(1, 2).with_empty_sets()
    assert curve.subset_size.tolist() == [[-1, -1]]
    assert np.isnan(curve.target_mass).all()
