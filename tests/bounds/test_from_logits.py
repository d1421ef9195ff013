"""Curves from raw logits: the same values as from distributions, whatever the settings."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import bounds
from mdbound.errors import InvalidDistributionError, InvalidSettingError

SETTINGS = [
    {},
    {"temperature": 0.7},
    {"temperature": 1.0, "draft_temperature": 1.5},
    {"top_k": 10},
    {"top_p": 0.8},
    {"temperature": 0.5, "top_k": 50, "top_p": 0.9},
    {"min_p": 0.05},
    {"temperature": 1.5, "draft_temperature": 0.8, "top_k": 80, "top_p": 0.95, "min_p": 0.1},
    {"temperature": 0.0},
    {"temperature": 0.0, "draft_temperature": 1.0},
    {"temperature": 1.0, "draft_temperature": 0.0},
]


@pytest.fixture
def logits():
    rng = np.random.default_rng(0)
    target = rng.normal(0.0, 3.0, (6, 500)).astype(np.float32)
    draft = (target + rng.normal(0.0, 1.5, target.shape)).astype(np.float32)
    return target, draft


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("sampling", bounds.SAMPLING_LAWS)
def test_equals_the_way_through_distributions(logits, sampling, settings):
    target, draft = logits
    warpers = {k: v for k, v in settings.items() if k in ("top_k", "top_p", "min_p")}
    temperature = settings.get("temperature", 1.0)
    p = bounds.distribution_from_logits(target, temperature, **warpers)
    q = bounds.distribution_from_logits(
        draft, settings.get("draft_temperature", temperature), **warpers
    )
    several = sampling == "independent"
    expected = bounds.solve_curve(p, [q, q, q] if several else q, 3, sampling)
    found = bounds.solve_curve_from_logits(
        target, [draft] * 3 if several else draft, 3, sampling, **settings
    )
    np.testing.assert_allclose(found.acceptance, expected.acceptance, atol=2e-13)
    np.testing.assert_allclose(
        found.target_mass - found.containment, found.acceptance - 1.0, atol=2e-13
    )
    assert (found.error_bound < 1e-12).all()


def test_independent_drafts_from_one_model_at_several_temperatures(logits):
    target, draft = logits
    p = bounds.distribution_from_logits(target)
    q = [bounds.distribution_from_logits(draft, t) for t in (0.8, 1.2)]
    found = bounds.acceptance_curve_from_logits(
        target, draft, 2, "independent", draft_temperature=[0.8, 1.2]
    )
    expected = bounds.acceptance_curve(p, q, 2, "independent")
    np.testing.assert_allclose(found, expected, atol=1e-13)


def test_one_row_gives_one_curve(logits):
    target, draft = logits
    assert bounds.acceptance_curve_from_logits(target[0], draft[0], 4).shape == (4,)
    assert bounds.acceptance_curve_from_logits(target, draft, 4).shape == (6, 4)


def test_a_bad_row_is_named_or_left_out(logits):
    target, draft = (array.copy() for array in logits)
    draft[3, 7] = np.nan
    target[5] = -np.inf
    with pytest.raises(InvalidDistributionError, match=r"row [35]:"):
        bounds.solve_curve_from_logits(target, draft, 2)
    curve = bounds.solve_curve_from_logits(target, draft, 2, strict=False)
    assert np.isnan(curve.acceptance).all(axis=1).tolist() == [False] * 3 + [True, False, True]
    assert (curve.subset_size[[3, 5]] == -1).all()
    good = [0, 1, 2, 4]
    expected = bounds.solve_curve_from_logits(target[good], draft[good], 2)
    np.testing.assert_array_equal(curve.acceptance[good], expected.acceptance)


def test_settings_that_do_not_fit(logits):
    target, draft = logits
    with pytest.raises(InvalidSettingError, match="takes one number"):
        bounds.solve_curve_from_logits(target, draft, 2, draft_temperature=[1.0, 2.0])
    with pytest.raises(InvalidSettingError, match="2 draft temperatures for 3 drafts"):
        bounds.solve_curve_from_logits(
            target, [draft] * 3, 2, "independent", draft_temperature=[1.0, 2.0]
        )
    with pytest.raises(InvalidDistributionError, match="the same vocabulary"):
        bounds.solve_curve_from_logits(target, draft[:, :-1], 2)
