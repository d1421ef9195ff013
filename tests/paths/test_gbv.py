"""Block verification of the selected of K paths: text alone against every tuple of paths."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest

from mdbound import paths
from mdbound.errors import InvalidDistributionError, InvalidSettingError
from tests.oracles import path_verification as oracle
from tests.oracles import several_paths

F = Fraction


def dyadic_models(seed: int, vocab_size: int, depth: int) -> tuple[oracle.Model, oracle.Model]:
    """Random rows of eighths with zeros: ratios that tie do so in float64, too."""
    rng = random.Random(seed)

    def row() -> oracle.Row:
        cuts = sorted(rng.randint(0, 8) for _ in range(vocab_size - 1))
        parts = zip([0, *cuts], [*cuts, 8], strict=True)
        return tuple(F(high - low, 8) for low, high in parts)

    target = {w: row() for w in oracle.constant_model((F(1),) * vocab_size, depth)}
    draft = {w: target[w] if rng.random() < 0.15 else row() for w in target}
    return target, draft


def numbers(
    target: oracle.Model, draft: oracle.Model, text: oracle.Prefix
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = [
        np.array([[float(x) for x in model[text[:i]]] for i in range(len(text))])
        for model in (target, draft)
    ]
    tokens = np.array(text)
    with np.errstate(divide="ignore"):
        lp, lq = (np.log(one[np.arange(len(text)), tokens]) for one in rows)
    return lp, lq, np.asarray(paths.draft_mass_below(*rows, tokens))


def tail_of_texts(
    target: oracle.Model, draft: oracle.Model, length: int, num_paths: int
) -> list[float]:
    total = np.zeros(length)
    for text, mass in oracle.paths_of(target, (), length):
        total += float(mass) * paths.gbv_tail(*numbers(target, draft, text), num_paths)
    return total.tolist()


def tail_of_blocks(emitted: dict[oracle.Prefix, Fraction], length: int) -> list[float]:
    return [
        float(sum(mass for block, mass in emitted.items() if len(block) > l))
        for l in range(1, length + 1)
    ]


@pytest.mark.parametrize("num_paths", [1, 2, 3])
@pytest.mark.parametrize("seed", range(8))
def test_tails_and_losslessness(seed: int, num_paths: int) -> None:
    vocab_size, length = ((2, 2), (3, 2), (2, 3), (3, 2))[seed % 4]
    if num_paths == 3:
        vocab_size, length = 2, 2
    target, draft = dyadic_models(seed, vocab_size, length)
    emitted = several_paths.blocks(target, draft, (), length, num_paths)
    assert several_paths.output_error(target, emitted, length) == 0
    found = tail_of_texts(target, draft, length, num_paths)
    assert found == pytest.approx(tail_of_blocks(emitted, length), abs=1e-12)


def test_verifying_against_the_draft_itself_is_not_lossless() -> None:
    errors, apart = [], []
    for seed in range(8):
        target, draft = dyadic_models(seed, 3, 2)
        emitted = several_paths.blocks(target, draft, (), 2, 2, as_if_one=True)
        errors.append(several_paths.output_error(target, emitted, 2))
        apart.append(
            max(
                abs(a - b)
                for a, b in zip(
                    tail_of_texts(target, draft, 2, 2), tail_of_blocks(emitted, 2), strict=True
                )
            )
        )
    assert sum(error > 0 for error in errors) >= 6
    assert max(apart) > 0.01


@pytest.mark.parametrize("num_paths", [2, 3])
def test_calls_of_a_text(num_paths: int) -> None:
    differs = 0.0
    for seed in range(3):
        target, draft = dyadic_models(seed, 2, 6)
        for text, _ in list(oracle.paths_of(target, (), 4))[:5]:
            truth = float(several_paths.calls_given_text(target, draft, 2, num_paths, text))
            three = numbers(target, draft, text)
            tally = paths.tally_windows(paths.gbv_text_tail(*three, 2, num_paths), "gbv")
            assert tally.calls == pytest.approx(truth, abs=1e-12)
            assert 1 + tally.tail_calls.sum() == pytest.approx(4 / truth, abs=1e-12)
            differs = max(differs, abs(paths.expected_calls(*three[:2], 2, "block") - truth))
    assert differs > 0.01  # one path needs another number of calls


HALF, QUARTER = (F(1, 2), F(1, 2)), (F(1, 4), F(3, 4))
TOY = (
    oracle.constant_model((F(1, 3), F(2, 3)), 2),
    oracle.constant_model((F(2, 3), F(1, 3)), 2),
)
OTHER = ({(): HALF, (0,): HALF, (1,): (F(1), F(0))}, {(): QUARTER, (0,): QUARTER, (1,): HALF})


@pytest.mark.parametrize(
    ("models", "num_paths", "mean"),
    [
        (TOY, 1, "11/9"),
        (TOY, 2, "131/81"),
        (TOY, 3, "1289/729"),
        (OTHER, 2, "435/256"),
        (OTHER, 3, "7033/4096"),
    ],
)
def test_reference_values(
    models: tuple[oracle.Model, oracle.Model], num_paths: int, mean: str
) -> None:
    assert sum(tail_of_texts(*models, 2, num_paths)) == pytest.approx(float(F(mean)), abs=1e-12)


def test_one_path_is_block_verification_and_long_paths_do_not_underflow() -> None:
    rng = np.random.default_rng(0)
    lp = -rng.gamma(1.0, 2.0, (5, 8))
    lq = np.minimum(lp + rng.normal(0.0, 1.0, lp.shape), 0.0)
    below = rng.random(lp.shape) * (1.0 - np.exp(lq))
    one = paths.gbv_tail(lp, lq, below, 1)
    np.testing.assert_allclose(one, paths.accepted_tail(lp, lq, "block"), rtol=1e-12)
    assert (paths.gbv_tail(lp, lq, 1.0 - np.exp(lq), 2) > one).any()
    far = np.full(8, -300.0)
    # A path of probability e^-2400 that ranks lowest: selected only if both are it.
    tail = paths.gbv_tail(far, far, np.zeros(8), 2)
    assert tail[0] == pytest.approx(np.exp(-300.0), rel=1e-9)
    never = paths.gbv_tail([-1.0, -1.0], [-np.inf, -1.0], [0.0, 0.5], 2)
    assert never.tolist() == [0.0, 0.0]


def test_refusals() -> None:
    with pytest.raises(InvalidDistributionError, match=r"`mass_below` has shape \(1,\)"):
        paths.gbv_tail([-1.0, -1.0], [-1.0, -1.0], [0.5], 2)
    with pytest.raises(InvalidDistributionError, match=r"`mass_below` at position 1 is 1\.5"):
        paths.gbv_tail([-1.0, -1.0], [-1.0, -1.0], [0.5, 1.5], 2)
    with pytest.raises(InvalidSettingError, match="num_paths is 0: give 1"):
        paths.gbv_tail([-1.0], [-1.0], [0.5], 0)
    with pytest.raises(InvalidSettingError, match="`token` holds 2 to 2"):
        paths.draft_mass_below([0.5, 0.5], [0.5, 0.5], 2)
    with pytest.raises(InvalidSettingError, match="`token` has shape"):
        paths.draft_mass_below([0.5, 0.5], [0.5, 0.5], [0, 1])
