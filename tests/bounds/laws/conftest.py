"""Every test of a draft law runs on both roads: small problems in numpy, and all in the kernels."""

from __future__ import annotations

import pytest

from mdbound.bounds.problem import small_problems


@pytest.fixture(params=["kernels", "numpy"], autouse=True)
def road(request, monkeypatch):
    """Which road problems take, those of full vocabularies excepted: these need kernels."""
    monkeypatch.setattr(
        small_problems, "SMALL_ENTRIES", {"kernels": -1, "numpy": 40_000}[request.param]
    )
    return request.param
