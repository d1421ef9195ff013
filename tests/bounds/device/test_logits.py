"""Logits as tensors give what logits as arrays give: distributions, curves, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import bounds
from mdbound.errors import InvalidDistributionError, InvalidSettingError
from tests.bounds.device.cases import DEVICES, LAWS, assert_same_curve, several, to

torch = pytest.importorskip("torch")

WARPERS = [
    {},
    {"temperature": 0.7},
    {"temperature": 1.0, "draft_temperature": 1.5},
    {"top_k": 10},
    {"top_p": 0.8},
    {"temperature": 0.5, "top_k": 50, "top_p": 0.9},
    {"min_p": 0.05},
    {"temperature": 1.5, "top_k": 80, "top_p": 0.95, "min_p": 0.1},
    {"temperature": 0.0},
    {"temperature": 0.0, "draft_temperature": 1.0},
    {"temperature": 1.0, "draft_temperature": 0.0},
]


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


@pytest.mark.parametrize(("sampling", "max_drafts"), LAWS)
@pytest.mark.parametrize("warpers", WARPERS)
def test_from_logits(device, sampling, max_drafts, warpers):
    rng = np.random.default_rng(0)
    target = rng.normal(0.0, 3.0, (4, 500)).astype(np.float32)
    draft = (target + rng.normal(0.0, 1.5, target.shape)).astype(np.float32)
    target[0, ::3], draft[0, 1::3] = -np.inf, -np.inf
    target[1], draft[2] = np.round(target[1]), np.round(draft[2])  # ties
    expected = bounds.solve_curve_from_logits(
        target, several(draft, sampling, 3), max_drafts, sampling, **warpers
    )
    found = bounds.solve_curve_from_logits(
        to(target, device, torch.float32),
        several(to(draft, device, torch.float32), sampling, 3),
        max_drafts,
        sampling,
        **warpers,
    )
    assert_same_curve(found, expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_distributions_of_any_float_type(device, dtype):
    logits = to(np.random.default_rng(5).normal(0.0, 4.0, (3, 700)), device, dtype)
    host = logits.double().cpu().numpy()
    cuts = ({"top_k": 20}, {"top_p": 0.9}, {"min_p": 0.2})
    for warpers in ({"temperature": 0.6}, *cuts, {"temperature": 0.0}):
        found = bounds.distribution_from_logits(logits, **warpers)
        assert found.dtype == torch.float64
        assert found.device.type == device
        expected = bounds.distribution_from_logits(host, **warpers)
        np.testing.assert_allclose(found.cpu(), expected, rtol=1e-13, atol=0)
    curve = bounds.acceptance_curve_from_logits(logits, logits.flip(0), 3, "without_replacement")
    expected = bounds.acceptance_curve_from_logits(host, host[::-1], 3, "without_replacement")
    np.testing.assert_allclose(curve.cpu(), expected, rtol=0, atol=1e-13)


def test_ties_keep_the_lower_token_or_all_of_them(device):
    logits = to([1.0, 3.0, 3.0, 3.0, -np.inf], device)
    assert bounds.distribution_from_logits(logits, temperature=0.0).tolist() == [0, 1, 0, 0, 0]
    assert bounds.distribution_from_logits(logits, top_k=2).count_nonzero() == 3
    kept = bounds.distribution_from_logits(to([2.0, 2.0, 2.0, 2.0], device), top_p=0.5)
    assert kept.tolist() == [0.5, 0.5, 0.0, 0.0]
    assert bounds.distribution_from_logits(logits, top_p=1e-9).tolist() == [0, 1, 0, 0, 0]
    assert bounds.distribution_from_logits(logits, top_k=99, top_p=1.0).shape == (5,)
    assert bounds.distribution_from_logits(logits, min_p=1.0).count_nonzero() == 3
    assert bounds.distribution_from_logits(logits, min_p=0.1).count_nonzero() == 4


def test_gradients_are_neither_needed_nor_kept(device):
    logits = to([1.0, 2.0], device).requires_grad_()
    assert not bounds.distribution_from_logits(logits).requires_grad
    assert not bounds.acceptance_curve_from_logits(logits, logits, 3, "greedy").requires_grad
    parameter = torch.nn.Parameter(logits.detach())
    assert bounds.acceptance_curve_from_logits(parameter, logits, 1)[0] == pytest.approx(1.0)


@pytest.mark.parametrize(("sampling", "max_drafts"), LAWS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_of_a_model_in_training(device, sampling, max_drafts, dtype):
    logits = np.random.default_rng(2).normal(0.0, 3.0, (2, 1, 400))
    target, draft = (to(rows, device, dtype).requires_grad_() for rows in logits)
    drafts = several(draft, sampling, max_drafts)
    found = bounds.acceptance_curve_from_logits(target, drafts, max_drafts, sampling)
    assert not found.requires_grad
    host = [rows.detach().float().cpu().numpy() for rows in (target, draft)]
    expected = bounds.acceptance_curve_from_logits(
        host[0], several(host[1], sampling, max_drafts), max_drafts, sampling
    )
    np.testing.assert_allclose(found.cpu(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("target", "draft", "options"),
    [
        ([[0.0, 1.0], [np.nan, 0.0]], [[0.0, 1.0]] * 2, {}),
        ([[0.0, 1.0]] * 2, [[0.0, 1.0], [0.0, np.inf]], {}),
        ([[0.0, 1.0]] * 2, [[0.0, 1.0], [-np.inf, -np.inf]], {}),
        ([[0.0, 1.0]] * 2, [[0.0, 1.0]], {}),
        ([[0.0, 1.0]], [[0.0, 1.0]], {"temperature": -1.0}),
        ([[0.0, 1.0]], [[0.0, 1.0]], {"draft_temperature": np.inf}),
        ([[0.0, 1.0]], [[0.0, 1.0]], {"draft_temperature": [1.0, 2.0]}),
        ([[0.0, 1.0]], [[0.0, 1.0]], {"top_k": 0}),
        ([[0.0, 1.0]], [[0.0, 1.0]], {"top_p": 1.5}),
        ([[0.0, 1.0]], [[0.0, 1.0]], {"min_p": 1.5}),
    ],
)
def test_logits_are_refused_in_the_same_words(device, target, draft, options):
    with pytest.raises((InvalidDistributionError, InvalidSettingError)) as expected:
        bounds.acceptance_curve_from_logits(target, draft, 2, **options)
    with pytest.raises(type(expected.value)) as found:
        bounds.acceptance_curve_from_logits(to(target, device), to(draft, device), 2, **options)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize(("sampling", "max_drafts"), LAWS)
def test_error_bounds_from_logits_hold_those_of_the_softmax(device, sampling, max_drafts):
    logits = to(np.random.default_rng(0).normal(0.0, 3.0, (2, 4000)), device, torch.float32)
    drafts = several(logits.flip(0), sampling, max_drafts)
    p = bounds.distribution_from_logits(logits)
    q = [bounds.distribution_from_logits(one) for one in drafts] if len(drafts) > 2 else p.flip(0)
    found = bounds.solve_curve_from_logits(logits, drafts, max_drafts, sampling)
    bare = bounds.solve_curve(p, q, max_drafts, sampling)
    assert torch.equal(found.acceptance, bare.acceptance)
    assert bool((found.error_bound > bare.error_bound).all())


def test_entropy(device):
    logits = np.random.default_rng(0).normal(0.0, 3.0, (3, 700)).astype(np.float32)
    logits[1, ::2] = -np.inf
    for warpers in ({}, {"temperature": 0.6}, {"temperature": 0.0}, {"top_p": 0.5}, {"min_p": 0.3}):
        found = bounds.entropy_from_logits(to(logits, device, torch.float32), **warpers)
        expected = bounds.entropy_from_logits(logits, **warpers)
        assert found.device.type == device
        np.testing.assert_allclose(found.cpu(), expected, rtol=0, atol=1e-13)


def test_tiny_exponentials_are_zero_as_on_the_cpu(device):
    logits = np.array([[0.0, -1.0, -679.0, -681.0, -800.0]] * 2, np.float32)
    found = bounds.distribution_from_logits(to(logits, device, torch.float32))
    expected = bounds.distribution_from_logits(logits)
    assert (found > 0.0).tolist() == (expected > 0.0).tolist() == [[True] * 3 + [False] * 2] * 2
    turned = np.ascontiguousarray(logits[:, ::-1])
    for law in ("without_replacement", "greedy"):
        one = bounds.acceptance_curve_from_logits(
            *(to(rows, device, torch.float32) for rows in (logits, turned)), 4, law
        )
        other = bounds.acceptance_curve_from_logits(logits, turned, 4, law)
        np.testing.assert_allclose(one.cpu(), other, rtol=0, atol=1e-13)
