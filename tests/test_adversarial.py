"""The short form of `python -m tests.adversarial`, and that it notices what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import bounds, schemes
from mdbound.errors import UnsolvedError
from tests import adversarial


def test_legal_rows_raise_nothing_but_documented_refusals() -> None:
    found = adversarial.run(500, seed=0)
    assert found.faults == []
    answered = [name for name in found.counts if not name.endswith("refused")]
    assert len(answered) == 9 + 2 * len(schemes.names()) + 3


@pytest.mark.parametrize("wrong", ["raises", "range"])
def test_a_wrong_solver_is_noticed(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    right = bounds.solve

    def solve(p: np.ndarray, q: object, n: int, law: str) -> object:
        if wrong == "raises":
            raise UnsolvedError("gave up")
        solution = right(p, q, n, law)
        object.__setattr__(solution, "acceptance", 1.5)
        return solution

    monkeypatch.setattr(bounds, "solve", solve)
    faults = adversarial.run(3, seed=0).faults
    assert len([fault for fault in faults if fault.startswith("bound")]) == 12
