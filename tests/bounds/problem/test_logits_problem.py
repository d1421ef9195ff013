"""Drafts meet their temperatures once, for arrays, lists and tensors alike."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound.bounds import Warpers
from mdbound.bounds.problem.logits_problem import LogitsProblem, pair_drafts
from mdbound.errors import InvalidDistributionError, InvalidSettingError

ROWS = np.arange(6.0).reshape(2, 3)


def paired(*arguments):
    drafts, warpers = pair_drafts(*arguments)
    return [np.shape(draft) for draft in drafts], [one.temperature for one in warpers]


def test_one_distribution_takes_one_temperature():
    warpers = Warpers(0.5, 7, 0.9)
    drafts, each = pair_drafts(ROWS, warpers, 2.0, False)
    assert drafts[0] is ROWS
    assert each == [Warpers(2.0, 7, 0.9)]
    assert pair_drafts(ROWS, warpers, None, False)[1] == [warpers]
    with pytest.raises(InvalidSettingError, match="takes one number"):
        pair_drafts(ROWS, warpers, [1.0, 2.0], False)


@pytest.mark.parametrize("wrap", [np.asarray, "tensor"])
def test_several_distributions(wrap):
    if wrap == "tensor":
        wrap = pytest.importorskip("torch").tensor
    one, stacked = wrap(ROWS), wrap(np.stack([ROWS, ROWS, ROWS]))
    assert paired(one, Warpers(0.5), None, True) == ([(2, 3)], [0.5])
    assert paired(one, Warpers(), [0.5, 2], True) == ([(2, 3)] * 2, [0.5, 2.0])
    assert paired(one, Warpers(), np.array([0.5, 2.0]), True) == ([(2, 3)] * 2, [0.5, 2.0])
    assert paired([one, one], Warpers(), 2.0, True) == ([(2, 3)] * 2, [2.0, 2.0])
    assert paired(stacked, Warpers(), 2.0, True) == ([(2, 3)] * 3, [2.0] * 3)
    with pytest.raises(InvalidSettingError, match="2 draft temperatures for 3 drafts"):
        pair_drafts(stacked, Warpers(), [1.0, 2.0], True)


def test_a_temperature_out_of_range_is_named_as_that_of_a_draft():
    with pytest.raises(InvalidSettingError, match=r"^draft_temperature is -1\.0: give"):
        pair_drafts(ROWS, Warpers(), [1.0, -1.0], True)


def test_shapes_that_differ_or_hold_no_tokens_are_refused():
    plain = Warpers()
    with pytest.raises(InvalidDistributionError, match=r"shape \(2, 3\) and draft .* \(2, 2\)"):
        LogitsProblem(ROWS, (ROWS, ROWS[:, :2]), plain, (plain, plain))
    for rows in (ROWS[None], ROWS[0], ROWS[:, :0]):
        with pytest.raises(InvalidDistributionError, match="with at least one token"):
            LogitsProblem(rows, (rows,), plain, (plain,))
    assert LogitsProblem(ROWS[:0], (ROWS[:0],), plain, (plain,)).vocab_size == 3
