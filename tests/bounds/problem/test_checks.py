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
    "settings", [{"temperature": -1.0}, {"temperature": np.nan}, {"top_k": 0}, {"top_p": 0.0}]
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
