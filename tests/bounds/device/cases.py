"""Devices, laws and comparisons that the tests of tensors share."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
    ),
]
FIELDS = ("acceptance", "target_mass", "draft_mass", "containment")
LAWS = [
    ("with_replacement", 5),
    ("greedy", 5),
    ("without_replacement", 2),
    ("without_replacement", 5),
    ("independent", 3),
]


def to(values, device, dtype=torch.float64):
    return torch.tensor(np.asarray(values), dtype=dtype, device=device)


def several(draft, sampling, count):
    """Different drafts where the law takes several: the rows turned round, token by token."""
    if sampling != "independent":
        return draft
    turn = torch.roll if torch.is_tensor(draft) else np.roll
    return [turn(draft, k, -1) for k in range(count)]


def assert_same_curve(found, expected, *, atol=1e-12):
    for name in FIELDS:
        assert torch.is_tensor(getattr(found, name))
    # Optimal sets need not be unique: what they say of the optimum must agree.
    np.testing.assert_allclose(found.acceptance.cpu(), expected.acceptance, rtol=0, atol=atol)
    gap = (found.target_mass - found.containment).cpu()
    off = np.abs(gap.numpy() - (expected.acceptance - 1.0))
    assert (off <= atol + found.error_bound.cpu().numpy()).all()
    assert found.subset_size.dtype == torch.int64
    assert bool((found.error_bound < 1e-10).all())
