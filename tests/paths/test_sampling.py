"""Runs of the verifiers against exact laws, and wrong verifiers that the same test rejects."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import paths
from mdbound.errors import InvalidDistributionError, InvalidSettingError
from tests.oracles import path_verification as oracle

SIZE = 20_000
WORST = 5.5
"""Standard deviations; a few hundred outcomes are looked at, and one in 3e7 lies beyond."""


def deviation(counts: np.ndarray, law: oracle.Outcomes) -> float:
    """The worst outcome, in standard deviations; infinite where an impossible one occurred."""
    worst = 0.0
    for outcome, count in np.ndenumerate(counts):
        mass = float(law.get(outcome, 0))  # type: ignore[call-overload]
        spread = np.sqrt(SIZE * mass * (1.0 - mass))
        off = abs(count - SIZE * mass)
        if off > 1e-6:
            worst = max(worst, off / spread if spread > 0.0 else np.inf)
    return float(worst)


def cases(seeds: range) -> list[tuple[oracle.Model, oracle.Model, oracle.Prefix]]:
    """A few paths of random models with three tokens, zeros and equal rows."""
    found = []
    for seed in seeds:
        length = 2 + seed % 2
        target, draft = oracle.random_models(seed, 3, length)
        drawn = [path for path, _ in oracle.paths_of(draft, (), length)]
        found += [(target, draft, path) for path in drawn[:: max(1, len(drawn) // 3)][:3]]
    return found


def rows_along(
    target: oracle.Model, draft: oracle.Model, path: oracle.Prefix
) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.array([[float(x) for x in target[path[:l]]] for l in range(len(path) + 1)]),
        np.array([[float(x) for x in draft[path[:l]]] for l in range(len(path))]),
    )


def counts_of(accepted: np.ndarray, output: np.ndarray, length: int) -> np.ndarray:
    counts = np.zeros((length + 1, 3))
    np.add.at(counts, (accepted, output), 1)
    return counts


@pytest.mark.parametrize("scheme", ["match", "single_draft", "block", "asps"])
def test_runs_follow_the_exact_law(scheme: str) -> None:
    rng = np.random.default_rng(7)
    for target, draft, path in cases(range(8)):
        p, q = rows_along(target, draft, path)
        runs = paths.sample_path(p, q, path, rng, scheme, size=SIZE)
        counts = counts_of(runs.accepted, runs.output, len(path))
        law = oracle.RULES[scheme](target, draft, (), path)
        assert deviation(counts, law) < WORST, (scheme, path)
        assert law == paths.kernel(target, draft, path, scheme)


@pytest.mark.parametrize("wrong", list(oracle.WRONG))
def test_wrong_rules_are_caught(wrong: str) -> None:
    """Runs of a wrong rule fail against block's law, and block's runs against the wrong law."""
    rng = np.random.default_rng(8)
    caught = refused = 0
    for target, draft, path in cases(range(24)):
        wrong_law = oracle.WRONG[wrong](target, draft, (), path)
        law = oracle.run_block(target, draft, (), path)
        outcomes = list(wrong_law)
        drawn = rng.choice(len(outcomes), size=SIZE, p=[float(m) for m in wrong_law.values()])
        accepted, output = np.array(outcomes)[drawn].T
        caught += deviation(counts_of(accepted, output, len(path)), law) > WORST
        p, q = rows_along(target, draft, path)
        runs = paths.sample_path(p, q, path, rng, "block", size=SIZE)
        counts = counts_of(runs.accepted, runs.output, len(path))
        refused += deviation(counts, wrong_law) > WORST
    assert caught >= 2
    assert refused >= 2


def test_sampled_lengths_lie_on_the_exact_curve() -> None:
    """Drafting and verifying whole paths: mean length within its error of the law's."""
    rng = np.random.default_rng(3)
    third, two_thirds = oracle.Fraction(1, 3), oracle.Fraction(2, 3)
    target = oracle.constant_model((third, two_thirds), 3)
    draft = oracle.constant_model((two_thirds, third), 3)
    drawn = list(oracle.paths_of(draft, (), 3))
    masses = np.array([float(mass) for _, mass in drawn])
    means = {}
    for scheme in ("single_draft", "block"):
        lengths = []
        for index, size in enumerate(rng.multinomial(30_000, masses / masses.sum())):
            if not size:
                continue
            path = drawn[index][0]
            p, q = rows_along(target, draft, path)
            lengths.append(paths.sample_path(p, q, path, rng, scheme, size=int(size)).accepted)
        taus = np.concatenate(lengths)
        law = paths.length_law(target, draft, 3, scheme)
        truth = float(sum(l * mass for l, mass in enumerate(law)))
        error = taus.std() / np.sqrt(len(taus))
        assert abs(taus.mean() - truth) < 4 * error
        means[scheme] = truth, error
    assert means["block"][0] - means["single_draft"][0] > 4 * means["block"][1]


def test_equal_rows_accept_everything() -> None:
    """Rounding must not stop a path of a draft that is the target."""
    rng = np.random.default_rng(1)
    row = rng.dirichlet(np.ones(50), size=4)
    path = [int(one.argmax()) for one in row[:-1]]
    for scheme in ("single_draft", "block", "asps"):
        runs = paths.sample_path(row, row[:-1], path, rng, scheme, size=1000)
        assert (runs.accepted == 3).all(), scheme


def test_refusals() -> None:
    rng = np.random.default_rng(0)
    p, q = [[0.5, 0.5], [0.5, 0.5]], [[1.0, 0.0]]
    with pytest.raises(InvalidSettingError, match="'joint' has tails and no calls"):
        paths.sample_path(p, q, [0], rng, "joint")
    with pytest.raises(InvalidSettingError, match="`drafted` position 0 is token 1"):
        paths.sample_path(p, q, [1], rng, "block")
    with pytest.raises(InvalidDistributionError, match=r"`target` has shape \(1, 2\)"):
        paths.sample_path(p[:1], q, [0], rng, "block")
    with pytest.raises(InvalidSettingError, match="size is 0"):
        paths.sample_path(p, q, [0], rng, "block", size=0)
    with pytest.raises(InvalidDistributionError):
        paths.sample_path([[0.5, 0.4], [0.5, 0.5]], q, [0], rng, "block")
