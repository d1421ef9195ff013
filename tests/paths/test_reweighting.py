"""Tails of one law from text of another: exact identities, and where they break."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from mdbound import paths
from mdbound.bounds import Warpers, distribution_from_logits
from mdbound.errors import InvalidDistributionError, InvalidSettingError
from tests.oracles import path_verification as oracle

SCHEMES = ("match", "single_draft", "block", "joint")


def positive_model(seed: int, vocab_size: int, depth: int) -> oracle.Model:
    """No zeros, so that it can write everything."""
    target, _ = oracle.random_models(seed, vocab_size, depth)
    shares = {w: [x + Fraction(1, 5) for x in row] for w, row in target.items()}
    return {w: tuple(x / sum(row) for x in row) for w, row in shares.items()}


def logs(model: oracle.Model, text: oracle.Prefix) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log([float(model[text[:i]][text[i]]) for i in range(len(text))])


def rows(model: oracle.Model, text: oracle.Prefix) -> np.ndarray:
    return np.array([model[text[:i]] for i in range(len(text))], dtype=float)


def truth(target: oracle.Model, draft: oracle.Model, length: int, scheme: str) -> list[float]:
    if scheme == "joint":
        return [float(one) for one in oracle.coupled_tail(target, draft, length)]
    law = oracle.length_law(oracle.RULES[scheme], target, draft, length)
    return [float(sum(law[l:])) for l in range(1, length + 1)]


def estimated(
    target: oracle.Model,
    draft: oracle.Model,
    sampling: oracle.Model,
    length: int,
    scheme: str,
    *,
    exact: bool,
    weighted: bool = True,
) -> np.ndarray:
    """The mean of the estimator over every text that the sampling law can write."""
    total = np.zeros(length)
    for text, mass in oracle.paths_of(sampling, (), length):
        three = [logs(model, text) for model in (target, draft, sampling)]
        if not weighted:
            three[2] = np.where(np.isneginf(three[0]), three[2], three[0])
        batches = [(rows(target, text), rows(draft, text))] if exact else None
        tally = paths.tally_reweighted(*three, length, scheme, batches)
        total += float(mass) * tally.accepted
    return total


@pytest.mark.parametrize("exact", [False, True])
def test_unbiased_for_every_law_of_the_text(exact: bool) -> None:
    """25 models x 4 rules; leaving the weights out is wrong on most of them."""
    wrong = 0
    for seed, scheme in itertools.product(range(25), SCHEMES):
        if exact and scheme == "match":
            continue
        vocab_size, length = ((2, 3), (3, 2))[seed % 2]
        target, draft = oracle.random_models(seed, vocab_size, length)
        sampling = positive_model(500 + seed, vocab_size, length)
        wanted = truth(target, draft, length, scheme)
        found = estimated(target, draft, sampling, length, scheme, exact=exact)
        assert found == pytest.approx(wanted, abs=1e-12), (seed, scheme)
        plain = estimated(target, draft, sampling, length, scheme, exact=exact, weighted=False)
        wrong += np.abs(plain - wanted).max() > 1e-3
        if exact:
            assert found[0] == pytest.approx(plain[0], abs=1e-12)  # level 1 has no weight
    assert wrong > 40


def test_text_that_lacks_tokens_of_the_overlap_is_biased() -> None:
    """What `check_reweighting` refuses: a cut law cannot stand for a wider one."""
    biased = 0
    for seed in range(20):
        target, draft = (positive_model(seed + k, 3, 2) for k in (0, 100))
        cut = {
            w: tuple(x / (1 - min(row)) if y != row.index(min(row)) else Fraction(0)
                     for y, x in enumerate(row))
            for w, row in target.items()
        }  # fmt: skip
        found = estimated(target, draft, cut, 2, "block", exact=False)
        wanted = np.array(truth(target, draft, 2, "block"))
        assert (found <= wanted + 1e-12).all()
        biased += np.abs(found - wanted).max() > 1e-3
    assert biased == 20


def test_effective_size() -> None:
    rng = np.random.default_rng(0)
    lp = -rng.gamma(1.0, 1.0, 500)
    lq = np.minimum(lp + 0.1, 0.0)
    same = paths.tally_reweighted(lp, lq, lp, 4, "block")
    np.testing.assert_allclose(same.effective_size, 497.0)
    plain = paths.tally_text(lp, lq, 4, "block")
    np.testing.assert_allclose(same.tail_positions, plain.tail_positions)
    both = same + same
    assert both.windows == 994
    np.testing.assert_allclose(both.tail_positions, same.tail_positions)
    far = paths.tally_reweighted(lp, lq, np.minimum(lp + rng.normal(0, 2, 500), 0.0), 4, "block")
    assert far.effective_size[-1] < far.smallest_size == 100.0
    with pytest.raises(InvalidDistributionError, match=r"of 497 windows in effect at length"):
        _ = far.tail_positions
    few = paths.tally_reweighted(lp[:50], lq[:50], lp[:50], 4, "block")
    with pytest.raises(InvalidDistributionError, match=r"47\.0 of 47 windows.*below 100"):
        _ = few.tail_positions
    large = same
    for _ in range(5):
        large = large + large
    assert large.smallest_size == pytest.approx(0.05 * 497 * 32)
    with pytest.raises(InvalidSettingError, match="do not add up"):
        _ = same + paths.tally_reweighted(lp, lq, lp, 3, "block")


@pytest.mark.parametrize(
    ("captured", "wanted", "allowed"),
    [
        (Warpers(1.0), Warpers(2.0), True),
        (Warpers(1.0), Warpers(0.5, top_k=2, top_p=0.5), True),
        (Warpers(0.0), Warpers(0.0), True),
        (Warpers(0.0), Warpers(1.0), False),
        (Warpers(0.7, top_k=3), Warpers(0.0), True),
        (Warpers(0.7, top_k=3), Warpers(1.3, top_k=3), True),
        (Warpers(0.7, top_k=3), Warpers(0.7, top_k=4), False),
        (Warpers(0.7, top_k=3), Warpers(0.7), False),
        (Warpers(0.7, top_k=3), Warpers(0.7, top_p=0.95), False),
        (Warpers(1.0, top_p=0.8), Warpers(0.9, top_p=0.8), True),
        (Warpers(1.0, top_p=0.8), Warpers(1.1, top_p=0.8), False),
        (Warpers(1.0, top_p=0.8), Warpers(1.0, top_p=0.9), False),
        (Warpers(1.0, top_p=0.8), Warpers(1.0, top_k=2), False),
        (Warpers(1.0, top_p=1.0, min_p=0.0), Warpers(2.0), True),
        (Warpers(1.0, min_p=0.1), Warpers(1.0, min_p=0.2), True),
        (Warpers(1.0, min_p=0.1), Warpers(1.2, min_p=0.1), False),
        (Warpers(1.0, min_p=0.1), Warpers(1.0, min_p=0.05), False),
        (Warpers(1.0, min_p=0.1), Warpers(1.0, top_k=4), False),
        (Warpers(1.0, top_k=5, min_p=0.1), Warpers(0.9, top_k=5, top_p=0.9, min_p=0.1), True),
        (Warpers(1.0, top_k=5, top_p=0.8), Warpers(0.8, top_k=4, top_p=0.7), True),
    ],
)
def test_which_settings_are_refused(captured: Warpers, wanted: Warpers, allowed: bool) -> None:
    """Allowed ones keep to the captured support on random rows; refused ones leave it on some."""
    rng = np.random.default_rng(0)
    leaves = 0
    for _ in range(400):
        logits = rng.normal(0.0, 1.5, 8)
        kept = distribution_from_logits(logits, **captured.as_dict()) > 0.0
        needed = distribution_from_logits(logits, **wanted.as_dict()) > 0.0
        leaves += bool((needed & ~kept).any())
    assert (leaves == 0) == allowed
    if allowed:
        paths.check_reweighting(captured, wanted)
    else:
        with pytest.raises(InvalidSettingError, match="capture again"):
            paths.check_reweighting(captured, wanted)


def test_refusals() -> None:
    half = np.log([0.5, 0.5])
    with pytest.raises(InvalidDistributionError, match="`target_logprob` at position 0 is -inf"):
        paths.tally_reweighted(half, half, [-np.inf, -1.0], 1, "block")
    with pytest.raises(InvalidDistributionError, match="at least `draft_length` 3 tokens"):
        paths.tally_reweighted(half, half, half, 3, "block")
    with pytest.raises(InvalidSettingError, match="did you mean 'block'"):
        paths.tally_reweighted(half, half, half, 1, "blok")
