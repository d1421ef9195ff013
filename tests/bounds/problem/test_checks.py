"""Softmax semantics against transformers' warpers, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import bounds
from mdbound.errors import InvalidDistributionError, InvalidSettingError

HALF = np.array([0.5, 0.5])


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("top_k", [None, 1, 5, 400])
@pytest.mark.parametrize("top_p", [None, 0.1, 0.9, 1.0])
def test_warpers_follow_transformers(temperature, top_k, top_p):
    torch = pytest.importorskip("torch")
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    logits = np.random.default_rng(0).normal(0.0, 3.0, (4, 300))
    scores = TemperatureLogitsWarper(temperature)(None, torch.tensor(logits))
    if top_k is not None:
        scores = TopKLogitsWarper(top_k)(None, scores)
    if top_p is not None and top_p < 1.0:
        scores = TopPLogitsWarper(top_p)(None, scores)
    expected = torch.softmax(scores, dim=-1).numpy()
    found = bounds.distribution_from_logits(logits, temperature, top_k, top_p)
    np.testing.assert_allclose(found, expected, atol=1e-15)


def tied_logits(rows, seed):
    """Whole and half numbers: many tokens share a logit, the largest among them."""
    logits = np.random.default_rng(seed).integers(-12, 5, (rows, 300)) / 2.0
    logits[0, ::2] = -np.inf
    return logits


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("cut", [{}, {"top_k": 40}, {"top_p": 0.9}, {"top_k": 120, "top_p": 0.8}])
@pytest.mark.parametrize("min_p", [0.0, 1e-9, 0.02, 0.35, 1.0])
def test_min_p_follows_transformers(temperature, cut, min_p):
    """In their order; ties with top-p apart, of which a sort decides there which one stays."""
    torch = pytest.importorskip("torch")
    from transformers import (
        LogitsProcessorList,
        MinPLogitsWarper,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    logits = tied_logits(20, seed=1)
    if "top_p" in cut:
        logits += np.random.default_rng(2).normal(0.0, 0.1, logits.shape)
    warpers = LogitsProcessorList([TemperatureLogitsWarper(temperature)])
    warpers += [TopKLogitsWarper(cut["top_k"])] if "top_k" in cut else []
    warpers += [TopPLogitsWarper(cut["top_p"])] if "top_p" in cut else []
    warpers.append(MinPLogitsWarper(min_p))
    expected = torch.softmax(warpers(None, torch.tensor(logits)), dim=-1).numpy()
    found = bounds.distribution_from_logits(logits, temperature, min_p=min_p, **cut)
    assert ((found > 0.0) == (expected > 0.0)).all()
    np.testing.assert_allclose(found, expected, atol=1e-15)
    raw = logits.astype(np.float32)  # the kernel that captures go through
    same = bounds.distribution_from_logits(raw.astype(np.float64), temperature, min_p=min_p, **cut)
    found = bounds.distribution_from_logits(raw, temperature, min_p=min_p, **cut)
    np.testing.assert_allclose(found, same, atol=1e-15)


def test_min_p_keeps_what_ties_with_its_threshold_or_drops_it_together():
    logits = np.log(np.array([[0.5, 0.5, 0.25, 0.25, 0.125]]))
    for min_p, kept in ((1.0, 2), (0.51, 2), (0.49, 4), (0.26, 4), (0.24, 5), (0.0, 5)):
        found = bounds.distribution_from_logits(logits, min_p=min_p)
        assert np.count_nonzero(found) == kept
        assert found.sum() == pytest.approx(1.0, abs=1e-15)
    assert bounds.distribution_from_logits([1.0, 3.0, 3.0], 0.0, min_p=0.1).tolist() == [0, 1, 0]


def test_min_p_comes_after_top_p():
    """Min-p first would leave 4/7 and 3/7, of which top-p 0.56 keeps one."""
    logits = np.log([0.4, 0.3, 0.2, 0.1])
    first = np.log(bounds.distribution_from_logits(logits, min_p=0.6)[:2])
    assert np.count_nonzero(bounds.distribution_from_logits(first, top_p=0.56)) == 1
    found = bounds.distribution_from_logits(logits, top_p=0.56, min_p=0.6)
    assert np.count_nonzero(found) == 2


def test_temperature_zero_is_the_argmax_and_ties_go_to_the_lower_id():
    assert bounds.distribution_from_logits([1.0, 3.0, 3.0], 0.0).tolist() == [0.0, 1.0, 0.0]


def test_top_k_keeps_ties_as_transformers_does():
    found = bounds.distribution_from_logits([1.0, 1.0, 0.0], top_k=1)
    assert found.tolist() == [0.5, 0.5, 0.0]


def test_rows_sum_to_one_for_extreme_logits():
    logits = np.array([[1e4, -1e4, 0.0], [-3e38, -3e38, -3e38]], dtype=np.float32)
    np.testing.assert_allclose(bounds.distribution_from_logits(logits).sum(axis=1), 1.0, atol=1e-15)


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        ([[0.0, 1.0], [np.nan, 1.0]], r"row 1: the logit of token 0 is nan"),
        ([np.inf, 1.0], r"row 0: the logit of token 0 is inf"),
        ([-np.inf, -np.inf], r"row 0: every logit is -inf"),
        (np.empty((2, 0)), r"at least one token"),
    ],
)
def test_bad_logits_are_named(logits, message):
    with pytest.raises(InvalidDistributionError, match=message):
        bounds.distribution_from_logits(logits)


@pytest.mark.parametrize(
    "settings",
    [{"temperature": -1.0}, {"temperature": np.nan}, {"top_k": 0}, {"top_p": 0.0}, {"min_p": -0.1}],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InvalidSettingError, match="give"):
        bounds.distribution_from_logits([0.0, 1.0], **settings)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([0.5, 0.6], r"target row 0 sums to 1\.1, not to 1 within 1e-09"),
        ([[0.5, 0.5], [-0.1, 1.1]], r"target row 1: the probability of token 0 is -0\.1"),
        ([np.nan, 1.0], r"target row 0: the probability of token 0 is nan"),
        ([0.2, 0.3, 0.5], r"target has shape \(3,\) and draft \(2,\)"),
        ([[[0.5, 0.5]]], r"shape \(1, 1, 2\)"),
    ],
)
def test_bad_distributions_are_named(target, message):
    with pytest.raises(InvalidDistributionError, match=message):
        bounds.optimal_acceptance(target, HALF, 1)


def test_float32_rounding_is_refused_rather_than_rescaled():
    row = np.full(3, 1 / 3, dtype=np.float32)
    with pytest.raises(InvalidDistributionError, match="normalise it in float64"):
        bounds.optimal_acceptance(row, row, 1)


@pytest.mark.parametrize("num_drafts", [0, -1, 1.5, True])
def test_number_of_drafts_must_be_a_positive_whole_number(num_drafts):
    with pytest.raises(InvalidSettingError, match=r"num_drafts is"):
        bounds.optimal_acceptance(HALF, HALF, num_drafts)


def test_unknown_law_names_the_nearest():
    with pytest.raises(InvalidSettingError, match="did you mean 'without_replacement'"):
        bounds.optimal_acceptance(HALF, HALF, 1, "without-replacement")


def test_too_few_independent_drafts():
    with pytest.raises(InvalidSettingError, match="3 but 2 draft distributions"):
        bounds.optimal_acceptance(HALF, [HALF, HALF], 3, "independent")
    with pytest.raises(InvalidDistributionError, match="sequence of arrays"):
        bounds.optimal_acceptance(HALF, HALF, 1, "independent")
