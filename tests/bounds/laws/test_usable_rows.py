"""Bad rows among good ones: refused by index with strict, otherwise NaN and named."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import bounds
from mdbound.errors import InvalidDistributionError, InvalidSettingError

LAWS = ["with_replacement", "without_replacement", "greedy", "independent"]


def batch():
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.ones(12), 6), rng.dirichlet(np.ones(12), 6)


def several(draft, law):
    return [draft, draft[..., ::-1]] if law == "independent" else draft


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(
    ("side", "value", "message"),
    [
        ("target", np.nan, r"target row 3: the probability of token 2 is nan"),
        ("target", np.inf, r"target row 3 sums to inf"),
        ("draft", np.nan, r"draft row 3: the probability of token 2 is nan"),
        ("draft", -0.25, r"draft row 3: the probability of token 2 is -0.25"),
        ("draft", 0.9, r"draft row 3 sums to"),
    ],
)
def test_one_bad_row(law, side, value, message):
    p, q = batch()
    expected = bounds.solve_curve(p, several(q, law), 2, law)
    (p if side == "target" else q)[3, 2] = value
    with pytest.raises(InvalidDistributionError, match=message):
        bounds.solve_curve(p, several(q, law), 2, law)
    found = bounds.solve_curve(p, several(q, law), 2, law, strict=False)
    assert found.unsolved == [3]
    assert np.isnan(found.error_bound[3]).all()
    assert found.subset_size[3].tolist() == [-1, -1]
    good = [0, 1, 2, 4, 5]
    for name in ("acceptance", "subset_size", "target_mass", "draft_mass", "containment"):
        np.testing.assert_array_equal(getattr(found, name)[good], getattr(expected, name)[good])
    curve = bounds.acceptance_curve(p, several(q, law), 2, law, strict=False)
    assert np.isnan(curve).any(axis=1).tolist() == [False, False, False, True, False, False]


def test_the_inputs_are_left_as_they_are():
    p, q = batch()
    p[0, 0] = np.nan
    before = p.copy()
    bounds.solve_curve(p, q, 2, strict=False)
    np.testing.assert_array_equal(p, before)


def test_a_bad_row_that_goes_with_every_other():
    p, q = batch()
    assert bounds.solve_curve(np.full(12, np.nan), q, 2, strict=False).unsolved == list(range(6))
    assert bounds.solve_curve(p[0], [[np.nan] * 12], 2, strict=False).unsolved == [0]
    curve = bounds.solve_curve(p, [q[0], [0.0] * 12], 2, "independent", strict=False)
    assert curve.unsolved == list(range(6))


@pytest.mark.parametrize(("law", "unsolved"), [("greedy", [1]), ("with_replacement", [])])
def test_a_vanishing_probability_is_a_matter_of_the_law(law, unsolved):
    rows = [[0.5, 0.5, 0.0], [1.0, 1e-310, 0.0]]
    assert bounds.solve_curve([0.5, 0.25, 0.25], rows, 2, law, strict=False).unsolved == unsolved


@pytest.mark.parametrize("law", LAWS)
def test_nothing_bad(law):
    p, q = batch()
    found = bounds.solve_curve(p, several(q, law), 2, law, strict=False)
    assert found.unsolved == []
    np.testing.assert_array_equal(
        found.acceptance, bounds.solve_curve(p, several(q, law), 2, law).acceptance
    )


def test_what_is_no_matter_of_a_row_is_refused():
    p, q = batch()
    for target, draft, error in (
        (p, q[:, :5], InvalidDistributionError),
        (p, q[:4], InvalidDistributionError),
        (p[None], q, InvalidDistributionError),
        (p[:, :0], q[:, :0], InvalidDistributionError),
    ):
        with pytest.raises(error):
            bounds.solve_curve(target, draft, 2, strict=False)
    with pytest.raises(InvalidSettingError):
        bounds.solve_curve(p, q, 0, strict=False)
    with pytest.raises(InvalidSettingError):
        bounds.solve_curve(p, [q], 2, "independent", strict=False)
    with pytest.raises(InvalidDistributionError, match="independent drafts have shape"):
        bounds.solve_curve(p, q[0], 2, "independent", strict=False)
