"""The doors: what they make of every law's findings."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import bounds

LAWS = [(law, 3) for law in bounds.SAMPLING_LAWS]


def drafts_of(q: np.ndarray, sampling: str, count: int):
    return [q] * count if bounds.draft_law(sampling).several_distributions else q


@pytest.mark.parametrize(("sampling", "max_drafts"), LAWS)
def test_rounding_does_not_choose_a_set(sampling, max_drafts):
    """Where p = q no set gains anything: the empty one is reported, from both doors."""
    logits = np.random.default_rng(3).normal(0.0, 0.5, (40, 500)).astype(np.float32)
    p = bounds.distribution_from_logits(logits)
    curves = (
        bounds.solve_curve(p, drafts_of(p, sampling, max_drafts), max_drafts, sampling),
        bounds.solve_curve_from_logits(
            logits, drafts_of(logits, sampling, max_drafts), max_drafts, sampling
        ),
    )
    for curve in curves:
        assert (curve.subset_size[:, :2] == 0).all()
        assert (curve.acceptance[:, :2] == 1.0).all()
        assert (curve.target_mass[:, :2] == curve.containment[:, :2]).all()
        assert (curve.error_bound < 2e-12).all()


@pytest.mark.parametrize(("sampling", "max_drafts"), LAWS)
def test_a_small_gain_keeps_its_set(sampling, max_drafts):
    p, q = np.array([0.5, 0.25, 0.25]), np.array([0.5 - 1e-9, 0.25 + 1e-9, 0.25])
    curve = bounds.solve_curve(p, drafts_of(q, sampling, max_drafts), max_drafts, sampling)
    assert curve.subset_size[0, 0] == 1
    assert curve.acceptance[0, 0] == pytest.approx(1.0 - 1e-9, abs=1e-12)


@pytest.mark.parametrize(("sampling", "max_drafts"), LAWS)
def test_solution_has_the_curve_s_set(sampling, max_drafts):
    p = np.random.default_rng(1).dirichlet(np.ones(30), 8)
    q = np.random.default_rng(2).dirichlet(np.ones(30), 8)
    q[:4] = p[:4]
    for row in range(len(p)):
        draft = drafts_of(q[row], sampling, max_drafts)
        curve = bounds.solve_curve(p[row], draft, max_drafts, sampling)
        solution = bounds.solve(p[row], draft, max_drafts, sampling)
        assert len(solution.subset) == curve.subset_size[0, -1]
        checked = solution.certificate.check(p[row], draft)
        assert checked.error_of(solution.acceptance) <= solution.error_bound + checked.width
