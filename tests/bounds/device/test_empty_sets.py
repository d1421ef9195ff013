"""On a device, too, a set that gains no more than the stated error is not reported."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import bounds
from tests.bounds.device.cases import DEVICES, LAWS, several, to

pytest.importorskip("torch")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("sampling", "max_drafts"), LAWS)
@pytest.mark.parametrize(("gain", "size"), [(1e-15, 0), (1e-9, 1)])
def test_a_set_counts_from_the_stated_error_on(device, sampling, max_drafts, gain, size):
    p = np.full(1024, 1.0 / 1024)
    q = p.copy()
    q[:2] += (gain, -gain)
    tensors = several(to(q, device), sampling, max_drafts)
    curve = bounds.solve_curve(to(p, device), tensors, max_drafts, sampling)
    assert curve.subset_size[0, 0].item() == size
    assert (curve.containment[0, 0].item() > 0.0) == (size > 0)
