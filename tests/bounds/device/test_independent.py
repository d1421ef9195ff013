"""Independent drafts on a device: against every subset, and the CPU's contract and branch."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import bounds
from tests.hard_rows import adversarial_row
from tests.oracles.acceptance_over_all_sets import brute_force_acceptance, contained_independent

torch = pytest.importorskip("torch")

LAW = "independent"


@pytest.mark.parametrize("num_drafts", [1, 2, 3, 5])
def test_against_every_subset(num_drafts):
    rng = np.random.default_rng(num_drafts)
    for case in range(150):
        vocab_size = int(rng.integers(1, 8))
        p = adversarial_row(rng, case, vocab_size)
        drafts = [adversarial_row(rng, int(rng.integers(9)), vocab_size) for _ in range(num_drafts)]
        expected = brute_force_acceptance(p, contained_independent(drafts))
        curve = bounds.solve_curve(
            torch.tensor(p), [torch.tensor(q) for q in drafts], num_drafts, LAW
        )
        error = float(curve.error_bound[0, -1])
        assert error < 1e-12
        assert float(curve.acceptance[0, -1]) == pytest.approx(expected, abs=error)
        gap = curve.target_mass - curve.containment - (curve.acceptance - 1.0)
        assert float(gap.abs().max()) < 1e-15


@pytest.mark.parametrize("spread", [0.3, 3.0, 8.0])
def test_a_real_vocabulary_at_several_temperatures(spread):
    rng = np.random.default_rng(0)
    target = rng.normal(0.0, spread, (3, 32_000)).astype(np.float32)
    draft = (target + rng.normal(0.0, spread / 3, target.shape)).astype(np.float32)
    options = {"draft_temperature": [1.2, 2.0, 0.8]}
    expected = bounds.acceptance_curve_from_logits(target, draft, 3, LAW, **options)
    found = bounds.acceptance_curve_from_logits(
        torch.tensor(target), torch.tensor(draft), 3, LAW, **options
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_few_boxes_at_a_time(monkeypatch):
    from mdbound.bounds.device import independent as torch_independent

    rng = np.random.default_rng(1)
    p, *drafts = (torch.tensor(rng.dirichlet(np.full(300, 0.3), 5)) for _ in range(5))
    expected = bounds.acceptance_curve(p, drafts, 4, LAW)
    monkeypatch.setattr(torch_independent, "WORKING_ENTRIES", 1)
    found = bounds.acceptance_curve(p, drafts, 4, LAW)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-13)
    host = bounds.acceptance_curve(p.numpy(), [q.numpy() for q in drafts], 4, LAW)
    np.testing.assert_allclose(found, host, rtol=0, atol=2e-13)


def test_one_draft_row_goes_with_every_target_row():
    p, q, r = (np.random.default_rng(k).dirichlet(np.ones(20), 4) for k in range(3))
    expected = bounds.acceptance_curve(p, [q[0], r], 2, LAW)
    found = bounds.acceptance_curve(torch.tensor(p), [q[0], r], 2, LAW)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-13)
    stacked = bounds.acceptance_curve(torch.tensor(p), torch.tensor(np.stack([q, r])), 2, LAW)
    expected = bounds.acceptance_curve(p, np.stack([q, r]), 2, LAW)
    np.testing.assert_allclose(stacked, expected, rtol=0, atol=2e-13)
