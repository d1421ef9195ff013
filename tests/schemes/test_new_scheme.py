"""A scheme from elsewhere: one class and one registration, and it works wherever schemes do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from mdbound import schemes
from mdbound.analysis.figures.style import scheme_style
from mdbound.analysis.solving.scheme_settings import add_schemes, left_out
from mdbound.analysis.solving.setting import SolveSetting
from mdbound.analysis.tables.names import scheme_name
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.errors import InvalidSettingError
from mdbound.schemes.contract import facts, registry
from mdbound.schemes.contract.results import RowRates, exact_rates

P, Q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.5, 0.3])


class AnyDraftHits(schemes.Scheme):
    """A toy: draws the output from p and says that it tested the drafts."""

    name = "toy"
    table_order = 5
    max_drafts = 2
    sampling = "with_replacement"

    def _row_rates(self, p: FloatArray, q: FloatArray, counts: Sequence[int]) -> RowRates:
        return exact_rates(np.array([float(np.sum(p * (1.0 - (1.0 - q) ** n))) for n in counts]))

    def _draw(
        self, p: FloatArray, drafts: list[FloatArray], rng: np.random.Generator, size: int
    ) -> schemes.Samples:
        drafted = np.stack([rng.choice(len(q), size, p=q) for q in drafts], axis=1)
        output = rng.choice(len(p), size, p=p)
        return schemes.Samples(drafted, output, (drafted == output[:, None]).any(axis=1))

    def _output(
        self, p: FloatArray, drafts: list[FloatArray], drafted: Sequence[int]
    ) -> FloatArray:
        del drafts, drafted  # the output does not depend on them
        return p


@pytest.fixture
def toy() -> Iterator[schemes.Scheme]:
    schemes.register(AnyDraftHits)
    yield schemes.get("toy")
    registry._registered.pop("toy")
    facts._recorded.pop("toy")


def test_it_can_be_asked_for_everything(toy: schemes.Scheme) -> None:
    assert schemes.names()[0] == "toy"
    assert "toy" in schemes.fitting(2)
    assert "toy" not in schemes.fitting(3)
    same = schemes.get("nss").acceptance(P, Q, 2).membership
    assert toy.acceptance(P, Q, 2).membership == pytest.approx(same, abs=1e-15)
    curve = toy.acceptance_curve(P, Q, 3).membership
    assert np.isnan(np.asarray(curve)).tolist() == [False, False, True]
    samples = toy.sample(P, Q, 2, np.random.default_rng(0), 100)
    assert samples.drafts.shape == (100, 2)
    assert toy.branch_probabilities(P, Q, [1, 0]) == {1: 0.3, 0: 0.5}


def test_it_is_refused_what_it_does_not_take(toy: schemes.Scheme) -> None:
    with pytest.raises(InvalidSettingError, match="'toy' takes 1 to 2 drafts, not 3"):
        toy.acceptance(P, Q, 3)
    with pytest.raises(InvalidSettingError, match="'toy' needs identical drafts"):
        toy.acceptance(P, [Q, P], 2)


def test_solving_and_figures_know_it(toy: schemes.Scheme) -> None:
    bound = SolveSetting("with_replacement", ("small",), 1.0, (1.0,), num_drafts=(1, 2, 3))
    rated = add_schemes([bound], ["toy"], None, 0)
    assert [(each.scheme, each.num_drafts) for each in rated] == [
        ("bound", (1, 2, 3)),
        ("toy", (1, 2)),
    ]
    assert [each.reason for each in left_out(rated, ["toy"])] == ["not defined for n = 3"]
    assert scheme_name("toy") == "toy"
    assert scheme_style("toy") != scheme_style("bound")


def test_it_is_gone_where_it_is_not_registered() -> None:
    """The fixture cleans up, so that no other test sees the toy."""
    with pytest.raises(InvalidSettingError, match="scheme 'toy' is unknown"):
        schemes.get("toy")
