"""The last token summed over the vocabulary: against enumeration, and against alpha* at n = 1."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mdbound import bounds, paths
from mdbound.errors import InvalidDistributionError
from mdbound.paths.scaled_overlap import scaled_overlaps
from tests.oracles import path_verification as oracle


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("side", ["target", "draft"])
@pytest.mark.parametrize("scheme", ["single_draft", "block", "asps", "joint"])
def test_last_token_is_summed(seed: int, side: str, scheme: str) -> None:
    """The mean of the plain tail over the last token, the tokens before it given."""
    length = 3
    models = oracle.random_models(seed, 3, length)
    law = models[("target", "draft").index(side)]
    for path, _ in itertools.islice(oracle.paths_of(law, (), length), 6):
        lp, lq = ([float(m[path[:i]][path[i]]) for i in range(length)] for m in models)
        rows = tuple(np.array([m[path[:i]] for i in range(length)], dtype=float) for m in models)
        with np.errstate(divide="ignore"):
            found = paths.last_level_tail([rows], np.log(lp), np.log(lq), length, scheme, side)
        for level in range(length):
            expected = 0.0
            for y, mass in enumerate(law[path[:level]]):
                if mass:
                    window = (*path[:level], y)
                    with np.errstate(divide="ignore"):
                        one, two = (
                            np.log([float(m[window[:i]][window[i]]) for i in range(level + 1)])
                            for m in models
                        )
                    tail = paths.accepted_tail(one, two, scheme, side)[level]
                    expected += float(mass) * tail
            assert found[0, level] == pytest.approx(expected, abs=1e-14)


def test_level_one_is_the_bound_and_batches_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    p, q = rng.dirichlet(np.full(900, 0.1), 12), rng.dirichlet(np.full(900, 0.1), 12)
    tokens = [rng.choice(900, p=row) for row in p]
    lp, lq = np.log(p[range(12), tokens]), np.log(q[range(12), tokens])
    whole = paths.last_level_tail([(p, q)], lp, lq, 4, "block")
    parts = [(p[:5], q[:5]), (p[5:6], q[5:6]), (p[6:], q[6:])]
    np.testing.assert_array_equal(paths.last_level_tail(iter(parts), lp, lq, 4, "block"), whole)
    best = bounds.optimal_acceptance(p, q, 1)
    np.testing.assert_allclose(whole[:, 0], best[:9], atol=1e-13)
    for bad in ([(p[:5], q[:5])], [(p, q), (p, q)]):
        with pytest.raises(InvalidDistributionError, match="`rows` has"):
            paths.last_level_tail(bad, lp, lq, 4, "block")


def test_factors_that_overflow() -> None:
    own, other = np.array([[0.25, 0.75]]), np.array([[1e-320, 0.0]])
    found = scaled_overlaps(own, other, np.array([[800.0, 5000.0, 0.0]]))
    np.testing.assert_allclose(found, [[0.25, 0.25, 1e-320]])


@pytest.mark.parametrize("side", ["target", "draft"])
@pytest.mark.parametrize("scheme", ["single_draft", "block", "asps", "joint"])
def test_rows_one_by_one_with_the_tokens_before_them(scheme: str, side: str) -> None:
    """The same windows as with all rows of the text at once, whatever comes in which piece."""
    rng = np.random.default_rng(2)
    length, count = 4, 9
    p, q = rng.dirichlet(np.full(30, 0.3), count), rng.dirichlet(np.full(30, 0.3), count)
    own = (p, q)[("target", "draft").index(side)]
    tokens = [rng.choice(30, p=row) for row in own]
    lp, lq = np.log(p[range(count), tokens]), np.log(q[range(count), tokens])
    lists = [[np.nan] * (length - 1) + list(one) for one in (lp, lq)]
    before = [np.array([one[i : i + length - 1] for i in range(count)]) for one in lists]
    found = np.concatenate(
        [
            paths.last_level_of_rows(p[part], q[part], *(b[part] for b in before), scheme, side)
            for part in (slice(0, 5), slice(5, 6), slice(6, 9))
        ]
    )
    assert np.isnan(found[:3]).sum() == 3 + 2 + 1
    windows = paths.last_level_windows(found, length)
    whole = paths.last_level_tail([(p, q)], lp, lq, length, scheme, side)
    np.testing.assert_allclose(windows, whole, rtol=1e-13, atol=0)
    short = paths.last_level_windows(found, 2)
    np.testing.assert_allclose(
        short, paths.last_level_tail([(p, q)], lp, lq, 2, scheme, side), rtol=1e-13, atol=0
    )
    # The control: the tokens before in the wrong order.
    moved = [np.concatenate([b[:, 1:], b[:, :1]], axis=1) for b in before]
    wrong = paths.last_level_windows(paths.last_level_of_rows(p, q, *moved, scheme, side), length)
    assert not np.allclose(wrong, whole, equal_nan=True)
    assert paths.last_level_windows(found[:3], length).shape == (0, length)


def test_tokens_before_that_do_not_fit_the_rows() -> None:
    p = np.array([[0.5, 0.5]])
    with pytest.raises(InvalidDistributionError, match=r"`draft_before` \(1, 2\)"):
        paths.last_level_of_rows(p, p, np.zeros((1, 1)), np.zeros((1, 2)), "block")
    with pytest.raises(InvalidDistributionError, match="give as many tokens for each of 1 rows"):
        paths.last_level_of_rows(p, p, np.zeros((2, 1)), np.zeros((2, 1)), "block")
    with pytest.raises(InvalidDistributionError, match="give 3 or more"):
        paths.last_level_windows(np.zeros((4, 2)), 3)
