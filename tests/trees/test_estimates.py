"""What verifiers estimate from one tree: unbiased over trees, whichever form is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mdbound import trees
from mdbound.errors import InvalidSettingError
from mdbound.trees import TreeLaw
from mdbound.trees.seeded_models import seeded_pair
from mdbound.trees.verifiers.rows import RowArrays
from mdbound.trees.verifiers.top_down import TopDown, TopDownLagged

PATHS = trees.Paths(2, 2)
#: One cannot be run; of the other runs and estimates are compared in its own tests.
WITHOUT_LAW = ("top_down_optimum", "quantile_recursive")
OF_PATHS = [
    name for name in trees.names() if name not in WITHOUT_LAW and trees.verifier(name).suits(PATHS)
]
OTHERS: list[tuple[str, TreeLaw]] = [
    ("nss", trees.Branching((2, 2), "without_replacement")),
    ("first_draft", trees.Branching((2, 2), "without_replacement")),
    ("rrs_without_replacement", trees.Branching((2, 2), "without_replacement")),
    ("traversal", trees.Branching((2, 2), "without_replacement")),
    ("block_first_path", trees.Branching((2, 2), "with_replacement")),
    ("k_seq", trees.Branching((2, 2), "with_replacement")),
    ("greedy", trees.Branching((2, 2), "greedy")),
    ("univer", trees.Branching((2, 2), "greedy")),
    ("nss", trees.Branching((2, 2), "top_k")),
]
CASES: list[tuple[str, TreeLaw]] = [*((name, PATHS) for name in OF_PATHS), *OTHERS]


def length_of_law(target: Any, draft: Any, law: TreeLaw, name: str) -> list[float]:
    """P(tau >= d) from the law of the accepted node, which is tested by losslessness."""
    tail = [0.0] * law.depth
    for (node, _), mass in trees.block_law(target, draft, law, name).items():
        for depth in range(len(node)):
            tail[depth] += float(mass)
    return tail


def mean_tail(target: Any, draft: Any, law: TreeLaw, rule: Any) -> np.ndarray:
    rows = RowArrays(target, "target"), RowArrays(draft, "draft")
    total = np.zeros(law.depth)
    for tree, mass in law.trees(draft):
        found = [float(x) for x in rule.tail(*rows, tree)]
        total += float(mass) * np.array(found + [0.0] * (law.depth - len(found)))
    return total


@pytest.mark.parametrize(("name", "law"), CASES, ids=lambda x: getattr(x, "title", lambda: x)())
@pytest.mark.parametrize("seed", range(3))
def test_both_forms_are_unbiased_at_every_depth(name: str, law: TreeLaw, seed: int) -> None:
    target, draft = seeded_pair("language", 3, 2, 11, seed)
    expected = length_of_law(target, draft, law, name)
    rule = trees.runnable_verifier(name)
    forms = [rule, trees.lagged(rule, law)]
    for form in forms:
        assert mean_tail(target, draft, law, form) == pytest.approx(expected, abs=1e-9)


def test_the_lagged_form_is_less_noisy_and_another() -> None:
    target, draft = seeded_pair("language", 3, 2, 11, 0)
    rows = RowArrays(target, "target"), RowArrays(draft, "draft")

    def spread(rule: Any) -> float:
        found = [(float(m), float(sum(rule.tail(*rows, t)))) for t, m in PATHS.trees(draft)]
        mean = sum(m * x for m, x in found)
        return sum(m * (x - mean) ** 2 for m, x in found)

    rule = trees.runnable_verifier("k_seq")
    assert isinstance(rule, TopDown)
    assert isinstance(trees.lagged(rule, PATHS), TopDownLagged)
    assert spread(trees.lagged(rule, PATHS)) < 0.6 * spread(rule)


def test_a_biased_estimate_is_found() -> None:
    """The control: w of the last token in place of all tokens' least is not unbiased."""
    target, draft = seeded_pair("language", 3, 2, 11, 0)

    class Wrong:
        def tail(self, p: Any, q: Any, tree: Any) -> list[float]:
            path = tree.first_path()
            return [
                min(1.0, float(p[path[:d]][path[d]] / q[path[:d]][path[d]]))
                for d in range(len(path))
            ]

    expected = length_of_law(target, draft, PATHS, "block_first_path")
    assert mean_tail(target, draft, PATHS, Wrong()) != pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("name", "law"), CASES, ids=lambda x: getattr(x, "title", lambda: x)())
def test_runs_have_the_law(name: str, law: TreeLaw) -> None:
    target, draft = seeded_pair("language", 3, 2, 12, 1)
    rows = RowArrays(target, "target"), RowArrays(draft, "draft")
    rule = trees.runnable_verifier(name)
    tree = max(law.trees(draft), key=lambda one: len(list(one[0].nodes())) + float(one[1]))[0]
    expected = rule.outcomes(*rows, tree)
    assert sum(float(mass) for mass in expected.values()) == pytest.approx(1.0, abs=1e-12)
    rng, runs = np.random.default_rng(3), 3000
    counts: dict[Any, int] = {}
    for _ in range(runs):
        outcome = rule.sample(*rows, tree, rng)
        counts[outcome] = counts.get(outcome, 0) + 1
    assert set(counts) <= set(expected)
    for outcome, mass in expected.items():
        share = float(mass)
        error = (share * (1 - share) / runs) ** 0.5
        assert abs(counts.get(outcome, 0) / runs - share) < 5 * error + 3 / runs


def test_paths_of_several_drafts_suit_some_verifiers_only() -> None:
    pairs = [seeded_pair("uniform", 3, 2, 13, k, exact=True) for k in range(2)]
    target, drafts = pairs[0][0], [pair[1] for pair in pairs]
    for name in ("nss", "first_draft", "rrs_with_replacement"):
        assert 0 < trees.expected_length(target, drafts, PATHS, name) < 2
    for first, others in ((drafts[0], drafts), (drafts[1], drafts[::-1])):
        alone = trees.expected_length(target, first, trees.Paths(1, 2), "block_first_path")
        assert trees.expected_length(target, others, PATHS, "block_first_path") == alone
    for name in ("gbv", "traversal", "k_seq", "quantile"):
        with pytest.raises(InvalidSettingError, match="drafted from one"):
            trees.expected_length(target, drafts, PATHS, name)


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("rrs_without_replacement", PATHS),
        ("gbv", trees.Branching((2, 2), "with_replacement")),
        ("quantile", trees.DelayedPaths(2, 1, 1)),
        ("k_seq", trees.Branching((2,), "without_replacement")),
        ("traversal", trees.Branching((2,), "greedy")),
        ("univer", PATHS),
        ("rrs_with_replacement", trees.Branching((2,), "top_k")),
    ],
    ids=str,
)
def test_unsuitable_trees_are_refused_by_name(name: str, law: TreeLaw) -> None:
    model = seeded_pair("uniform", 2, 2, 0, 0)[0]
    calls: list[Callable[..., Any]] = [trees.expected_length, trees.block_law]
    for call in calls:
        with pytest.raises(InvalidSettingError, match=f"'{name}' does not suit"):
            call(model, model, law, name)


def test_options_and_names_that_do_not_exist() -> None:
    with pytest.raises(InvalidSettingError, match="did you mean 'traversal'"):
        trees.verifier("traversel")
    with pytest.raises(InvalidSettingError, match="no such options"):
        trees.verifier("gbv", bins=[[1]])
    with pytest.raises(InvalidSettingError, match="does not end with one bin"):
        trees.verifier("quantile", bins=[[1, 2]])
    with pytest.raises(InvalidSettingError, match="above 0"):
        trees.verifier("quantile", bins=[[0, 1], [1]])
    model = seeded_pair("uniform", 2, 1, 0, 0)[0]
    of_two = trees.verifier("quantile", bins=[[1, 2], [1]])
    with pytest.raises(InvalidSettingError, match="paths of 2 tokens"):
        trees.expected_length(model, model, trees.Paths(2, 1), of_two)
