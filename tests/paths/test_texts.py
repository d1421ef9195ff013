"""Tails and calls of texts: orders, sums, ends, several texts, and what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mdbound import paths
from mdbound.errors import InvalidDistributionError, InvalidSettingError

ORDER = ("match", "single_draft", "block", "joint")


def logprobs(tokens: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    lp, lq = -rng.exponential(2.0, tokens), -rng.exponential(2.5, tokens)
    lq[rng.random(tokens) < 0.05] = -np.inf
    lp[rng.random(tokens) < 0.05] = 0.0
    return lp, lq


def test_order_in_every_window_without_a_tolerance() -> None:
    lp, lq = logprobs(5000)
    tails = [paths.text_tail(lp, lq, 8, scheme) for scheme in ORDER]
    for less, more in itertools.pairwise(tails):
        assert (less <= more).all()
        assert (less < more).any()
    assert all(((tail >= 0.0) & (tail <= 1.0)).all() for tail in tails)


def test_alias() -> None:
    lp, lq = logprobs(50)
    for side in ("target", "draft"):
        finite = np.maximum(lq, -9.0)
        asps = paths.accepted_tail(lp, finite, "asps", side)
        np.testing.assert_array_equal(asps, paths.accepted_tail(lp, finite, "block", side))


@pytest.mark.parametrize("scheme", ["match", "single_draft", "block"])
@pytest.mark.parametrize("length", [1, 3, 8, 300])
def test_tokens_over_calls(scheme: str, length: int) -> None:
    lp, lq = logprobs(200)
    tally = paths.tally_text(lp, lq, length, scheme)
    assert tally.calls == pytest.approx(paths.expected_calls(lp, lq, length, scheme), abs=1e-12)
    assert 1 + tally.tail_calls.sum() == pytest.approx(200 / tally.calls, abs=1e-12)
    assert tally.tokens_per_call == 200 / tally.calls
    if length <= 8:
        # The other tail is another number: averaging over all positions does not count calls.
        assert abs(1 + tally.tail_positions.sum() - tally.tokens_per_call) > 1e-4


def test_cut_text_counts_full_windows_only() -> None:
    lp, lq = logprobs(40)
    length = 4
    cut = paths.tally_text(lp, lq, length, "block", finish_reason="length")
    tail = paths.text_tail(lp, lq, length, "block")
    starts = paths.call_starts(tail)[: 40 - length]
    assert cut.starts == 36
    assert cut.calls == pytest.approx(starts.sum())
    assert cut.tokens == pytest.approx(starts @ (1 + tail[:36].sum(axis=1)))
    whole = paths.tally_text(lp, lq, length, "block")
    assert whole.starts == 40
    assert cut.tokens_per_call != pytest.approx(whole.tokens_per_call, abs=1e-6)


def test_cut_text_has_less_bias() -> None:
    """Two-token block verification at L = 8: the truth is 4.10, a short whole text gives 3.48."""
    rng = np.random.default_rng(0)
    sums = {"stop": None, "length": None}
    for _ in range(1500):
        high = rng.random(16) < 2 / 3
        lp = np.log(np.where(high, 2 / 3, 1 / 3))
        lq = np.log(np.where(high, 1 / 3, 2 / 3))
        for reason, sofar in sums.items():
            one = paths.tally_text(lp, lq, 8, "block", finish_reason=reason)
            sums[reason] = one if sofar is None else sofar + one
    assert sums["stop"].tokens_per_call == pytest.approx(3.48, abs=0.05)
    assert sums["length"].tokens_per_call == pytest.approx(4.09, abs=0.05)


def test_cut_text_shorter_than_the_draft_has_no_starts() -> None:
    lp, lq = logprobs(5)
    tally = paths.tally_text(lp, lq, 8, "block", finish_reason="length")
    assert (tally.starts, tally.calls, tally.positions) == (0, 0.0, 0)
    assert np.isnan(tally.tokens_per_call)
    assert np.isnan(tally.tail_positions).all()


def test_tallies_pool() -> None:
    one, other = (paths.tally_text(*logprobs(n, n), 3, "block") for n in (20, 70))
    both = one + other
    assert both.tokens_per_call == pytest.approx(90 / (one.calls + other.calls))
    assert both.positions == 18 + 68
    joint = paths.tally_text(*logprobs(20), 3, "joint")
    assert (joint + joint).calls is None
    with pytest.raises(InvalidSettingError, match="has tails and no calls"):
        _ = joint.tail_calls
    with pytest.raises(InvalidSettingError, match="do not add up"):
        _ = one + joint


def test_many_lengths_at_once() -> None:
    lp, lq = logprobs(60)
    for one in paths.tally_texts(lp, lq, [1, 4, 2], ["match", "block", "joint"]):
        alone = paths.tally_text(lp, lq, one.draft_length, one.scheme)
        np.testing.assert_array_equal(one.tail_positions, alone.tail_positions)
        assert one.calls == alone.calls


def test_greedy_text_is_valid() -> None:
    lp, lq = np.zeros(6), np.array([0.0, -np.inf, 0.0, 0.0, 0.0, 0.0])
    for scheme in ("match", "single_draft", "block"):
        assert paths.expected_calls(lp, lq, 2, scheme) == 3.0


def test_nodes_with_one_draft_are_token_by_token() -> None:
    lp, lq = logprobs(50)
    b = np.exp(np.minimum(lq - lp, 0.0))
    assert paths.node_calls(b, 4) == pytest.approx(
        paths.expected_calls(lp, lq, 4, "single_draft"), abs=1e-12
    )
    np.testing.assert_allclose(paths.node_tail(b), paths.accepted_tail(lp, lq, "single_draft"))
    assert paths.node_calls(b, 4) > paths.expected_calls(lp, lq, 4, "block")


@pytest.mark.parametrize(
    ("lp", "lq", "message"),
    [
        ([-1.0], [-1.0], "document 'd': the text has 1 token"),
        ([], [], "document 'd': the text has 0 tokens"),
        ([-1.0, -1.0], [-1.0], r"document 'd': .*\(2,\) and `draft_logprob` \(1,\)"),
        ([-1.0, 0.1], [-1.0, -1.0], "document 'd': `target_logprob` at position 1 is 0.1"),
        ([-1.0, -1.0], [np.nan, -1.0], "document 'd': `draft_logprob` at position 0 is nan"),
        ([-1.0, -np.inf], [-1.0, -1.0], "`target_logprob` at position 1 is -inf, so this is not"),
        ([-1.0, "x"], [-1.0, -1.0], "document 'd': `target_logprob` holds what is no number"),
    ],
)
def test_refused_texts(lp: list[float], lq: list[float], message: str) -> None:
    with pytest.raises(InvalidDistributionError, match=message):
        paths.tally_text(lp, lq, 2, "block", document="d")


def test_refused_settings() -> None:
    lp, lq = logprobs(5)
    for length in (0, True, 1.5):
        with pytest.raises(InvalidSettingError, match="`draft_length` is"):
            paths.expected_calls(lp, lq, length, "block")
    with pytest.raises(InvalidSettingError, match="did you mean 'block'"):
        paths.expected_calls(lp, lq, 2, "blok")
    with pytest.raises(InvalidSettingError, match="`side` 'drafts' is unknown"):
        paths.accepted_tail(lp, lq, "block", "drafts")
    with pytest.raises(InvalidSettingError, match="`finish_reason` 'eos' is unknown"):
        paths.tally_text(lp, lq, 2, "block", finish_reason="eos")
    with pytest.raises(InvalidSettingError, match="'joint' has no kernel"):
        paths.kernel({(): (1.0,)}, {(): (1.0,)}, [0], "joint")
    with pytest.raises(InvalidDistributionError, match=r"position 1 is 1\.5"):
        paths.node_calls([0.5, 1.5], 1)


def test_tokens_outside_the_support() -> None:
    assert paths.length_inside_support([-1.0, -np.inf, -1.0]) == 1
    assert paths.length_inside_support([-1.0, -1.0]) == 2
    paths.refuse_many_outside_support(1, 1000)
    with pytest.raises(InvalidDistributionError, match="2 of 1000 positions"):
        paths.refuse_many_outside_support(2, 1000)


def test_draft_side_takes_tokens_that_the_target_never_gives() -> None:
    tail = paths.accepted_tail([-1.0, -np.inf, -1.0], [-1.0, -1.0, -1.0], "block", "draft")
    assert tail.tolist() == [1.0, 0.0, 0.0]
    with pytest.raises(InvalidDistributionError, match="not a path of the draft"):
        paths.accepted_tail([-1.0], [-np.inf], "block", "draft")
