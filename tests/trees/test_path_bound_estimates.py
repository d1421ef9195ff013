"""Sampled estimates of the path bound against its exact value, and what they are made of."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from mdbound import trees
from mdbound.errors import InvalidSettingError
from mdbound.trees.optima.path_bound import fit
from mdbound.trees.optima.path_bound.choose import Coefficients, fit_forms
from mdbound.trees.optima.path_bound.controls import controls_of, fit_controls
from mdbound.trees.optima.path_bound.design import ContextDesigns, designs_of
from mdbound.trees.optima.path_bound.features import PathFeatures, joined, row_features
from mdbound.trees.optima.path_bound.forms import Gate
from mdbound.trees.optima.path_bound.hats import BASES, FEW, Hats
from mdbound.trees.optima.path_bound.on_models import gate_prices, psi_prices
from mdbound.trees.optima.path_bound.subsets import mean_largest
from mdbound.trees.seeded_models import seeded_pair
from tests.oracles.trees.path_bound import hat

V, L, K = 3, 3, 2
BASIS = 1
CONTEXTS = 6000


def sampled(target: dict, draft: dict, contexts: int, num_paths: int, seed: int) -> PathFeatures:
    """Paths and texts of one pair of models, drawn string by string."""
    rng = np.random.default_rng(seed)
    strings = list(itertools.product(range(V), repeat=L))

    def drawn(model: dict, count: int) -> list[tuple[int, ...]]:
        masses = [math.prod(model[y[:d]][y[d]] for d in range(L)) for y in strings]
        return [strings[k] for k in rng.choice(len(strings), size=count, p=masses)]

    def rows(paths: list[tuple[int, ...]]) -> object:
        nodes = [path[:d] for path in paths for d in range(L)]
        p, q = (np.array([model[node] for node in nodes]) for model in (target, draft))
        tokens = np.array([token for path in paths for token in path])
        return row_features(p, q, tokens, BASES)

    drafted, text = rows(drawn(draft, contexts * num_paths)), rows(drawn(target, contexts))
    return PathFeatures(drafted, text, (contexts, num_paths, L), np.full(contexts, L))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pair() -> tuple[dict, dict]:
    target, draft = seeded_pair("language", V, L, seed=4, instance=0)
    return dict(target), dict(draft)


@pytest.fixture(scope="module")
def gate() -> Gate:
    rng = np.random.default_rng(1)
    size = BASES[BASIS].size
    psi = rng.uniform(0.0, 1.5, (L, size))
    eta, chi = rng.uniform(-0.3, 1.3, (2, L - 1, size))
    return Gate(eta, rng.uniform(0.2, 1.1, (L - 1, size)), chi, rng.uniform(0, 1.2, size), psi)


def on_nodes(target: dict, draft: dict, coefficients: np.ndarray) -> dict[tuple[int, ...], float]:
    """A function of hats at every node, by interpolation of one hat after the other."""
    found = {}
    for length in range(1, len(coefficients) + 1):
        for y in itertools.product(range(V), repeat=length):
            node = y[:-1]
            ratio = math.log(target[node][y[-1]] / draft[node][y[-1]])
            before = sum(
                math.log(target[y[:d]][y[d]] / draft[y[:d]][y[d]]) for d in range(length - 1)
            )
            found[y] = sum(
                coefficients[length - 1][i * len(FEW[1]) + j]
                * hat(FEW[0], i)(ratio)
                * hat(FEW[1], j)(before)
                for i in range(len(FEW[0]))
                for j in range(len(FEW[1]))
            )
    return found


def exact_psi(target: dict, draft: dict, psi: np.ndarray) -> float:
    numbers = on_nodes(target, draft, psi)
    prices = psi_prices(target, numbers, L)
    return float(trees.path_bound(target, draft, trees.Paths(K, L), prices, numbers))


def exact_gate(target: dict, draft: dict, gate: Gate) -> float:
    worth_of = on_nodes(target, draft, gate.worth)
    worth = {
        node: sum(target[node][t] * worth_of[*node, t] for t in range(V))
        for d in range(1, L)
        for node in itertools.product(range(V), repeat=d)
    }
    eta, kappa, chi = (on_nodes(target, draft, each) for each in (gate.eta, gate.kappa, gate.chi))
    last = on_nodes(target, draft, np.concatenate([gate.eta, gate.last[None]]))
    prices = gate_prices(target, eta, kappa, worth, last, L)
    return float(trees.path_bound(target, draft, trees.Paths(K, L), prices, chi))


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std() / len(values) ** 0.5)


@pytest.mark.parametrize("form", ["psi", "gate"])
@pytest.mark.parametrize("at_a_context", [1, 2, 4])
def test_estimates_lie_within_their_errors(
    pair: tuple[dict, dict], gate: Gate, form: str, at_a_context: int
) -> None:
    """With fewer paths at a context than K, paths of several contexts are put together."""
    coefficients = Coefficients(BASIS, gate.worth, gate if form == "gate" else None, 0.0)
    features = sampled(*pair, CONTEXTS, at_a_context, seed=at_a_context)
    designs = coefficients.designs(features)
    values = coefficients.values(designs, K)
    exact = exact_gate(*pair, gate) if form == "gate" else exact_psi(*pair, gate.worth)
    mean, error = mean_and_error(values)
    assert abs(mean - exact) < 3.5 * error
    half = np.arange(CONTEXTS // 2)
    controls = fit_controls(values[half], designs.of(half))
    rest = half + CONTEXTS // 2
    less_noise, smaller = mean_and_error(controls.taken_from(values[rest], designs.of(rest)))
    assert abs(less_noise - exact) < 3.5 * smaller
    assert smaller < 0.8 * error * 2**0.5
    # The control: other prices have another bound.
    other = Gate(gate.eta, gate.kappa, gate.chi, gate.last + 0.1, gate.worth)
    moved = exact_gate(*pair, other) if form == "gate" else exact_psi(*pair, 0.6 * gate.worth)
    assert abs(mean - moved) > 3.5 * error


def test_fitted_forms_lie_between_the_optimum_and_the_bound_by_depth() -> None:
    """The same row at every node: the best that hats can do is nearly the optimum."""
    row = tuple(np.exp([0.9, 0.0, -0.7]) / np.exp([0.9, 0.0, -0.7]).sum())
    nodes = [y for d in range(L) for y in itertools.product(range(V), repeat=d)]
    target, draft = dict.fromkeys(nodes, row), dict.fromkeys(nodes, (1 / 3, 1 / 3, 1 / 3))
    law = trees.Paths(K, L)
    optimum = trees.optimal_value(target, draft, law, "one_call").value
    features = sampled(target, draft, 4000, K, seed=7)
    folds = (np.arange(0, 2000, 2), np.arange(1, 2000, 2))
    found = fit_forms(features, folds, K, L)
    assert set(found) == {"psi", "gate"}
    for fitted in found.values():
        mean, error = mean_and_error(fitted.report(features, np.arange(2000, 4000)))
        assert optimum - 3 * error < mean < optimum + 0.05
    assert optimum < float(trees.depth_bound(target, draft, law)) - 0.01


def losses(designs: ContextDesigns) -> dict[str, tuple[object, np.ndarray]]:
    """What the fits hand to L-BFGS, caught at the door."""
    caught: dict[str, tuple[object, np.ndarray]] = {}

    def keep(name: str) -> object:
        def least(loss: object, start: np.ndarray, floor: np.ndarray) -> np.ndarray:
            del floor
            caught[name] = (loss, start)
            return start

        return least

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "_least", keep("psi"))
        psi = fit.fit_psi(designs, K, 0.01)
        patch.setattr(fit, "_least", keep("gate"))
        fit.fit_gate(designs, K, psi, 0.01)
    return caught


@pytest.mark.parametrize("form", ["psi", "gate"])
def test_slopes_are_those_of_the_loss(pair: tuple[dict, dict], form: str) -> None:
    features = sampled(*pair, 6, K, seed=0)
    loss, start = losses(designs_of(features, BASIS, BASES[BASIS], L))[form]
    at = start + np.random.default_rng(0).normal(0.0, 0.3, start.size)
    value, slope = loss(at, 5.0)  # type: ignore[operator]
    by_steps = approx_fprime(at, lambda x: loss(x, 5.0)[0], 1e-6)  # type: ignore[operator]
    assert np.abs(slope - by_steps).max() < 1e-5
    assert np.abs(by_steps).max() > 1e-2
    assert value > 0.0


def test_controls_have_mean_zero(pair: tuple[dict, dict]) -> None:
    designs = designs_of(sampled(*pair, CONTEXTS, K, seed=3), BASIS, BASES[BASIS], L)
    numbers = controls_of(designs)
    spread = numbers.std(axis=0) / CONTEXTS**0.5
    assert (np.abs(numbers.mean(axis=0)) < 4.5 * spread + 1e-12).all()
    assert (spread > 0).sum() > 20
    # The control: hats without their means have none.
    token = designs.drafted.token.reshape(CONTEXTS, -1)
    assert (np.abs(token.mean(axis=0)) > 4.5 * token.std(axis=0) / CONTEXTS**0.5).any()


@pytest.mark.parametrize(("contexts", "count", "size"), [(3, 4, 2), (2, 3, 3), (1, 5, 1)])
def test_largest_of_the_subsets_of_a_context(contexts: int, count: int, size: int) -> None:
    values = np.random.default_rng(2).integers(0, 4, (contexts, count)).astype(float)
    expected = [np.mean([max(s) for s in itertools.combinations(row, size)]) for row in values]
    assert mean_largest(values, size) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("contexts", "count", "size"), [(5, 1, 2), (4, 1, 3), (3, 2, 4)])
def test_largest_of_the_subsets_of_all(contexts: int, count: int, size: int) -> None:
    values = np.random.default_rng(5).normal(size=(contexts, count))
    every = [max(s) for s in itertools.combinations(values.ravel(), size)]
    assert mean_largest(values, size).mean() == pytest.approx(np.mean(every), abs=1e-12)
    with pytest.raises(InvalidSettingError, match="capture more contexts"):
        mean_largest(values, contexts * count + 1)


def test_hats_are_interpolation() -> None:
    at = np.array([[-9.0, -1.0, 0.1, 3.4], [np.inf, -np.inf, 3.5, 0.25]])
    masses = np.array([[0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25]])
    hats = Hats(FEW[0])
    expected = np.array([[[hat(FEW[0], i)(u) for i in range(7)] for u in row] for row in at])
    assert hats.values(at) == pytest.approx(expected, abs=1e-12)
    means = np.einsum("nv,nvh->nh", masses, expected)
    assert hats.means(at, masses) == pytest.approx(means, abs=1e-12)
    for knots in ((1.0,), (0.0, 0.0), (1.0, 0.0)):
        with pytest.raises(InvalidSettingError, match="ascending"):
            Hats(knots)


def test_features_are_joined_in_order(pair: tuple[dict, dict]) -> None:
    one = sampled(*pair, 2, K, seed=0).text
    both = joined([one, one])
    assert both.ratio.tolist() == [*one.ratio, *one.ratio]
    assert both.draft_means[1].shape == (4 * L, len(FEW[0]))
