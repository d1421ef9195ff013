"""Everything that one random case is checked for; run as a module for many of them.

python -m tests.trees.enumeration 1000
"""

from __future__ import annotations

import sys
from fractions import Fraction
from typing import Any

from mdbound import trees
from mdbound.trees import TreeLaw
from tests.oracles.trees.cases import (
    Case,
    branching_case,
    language_models,
    paths_case,
    uniform_models,
)
from tests.oracles.trees.optimum import depth_bound, optimum, top_down_optimum
from tests.oracles.trees.verifiers import (
    VERIFIERS,
    block_law,
    expected_length,
    is_lossless,
    text_errors,
)

SUIT_MOST = ("nss", "first_draft", "rrs_with_replacement")
"""Verifiers of K paths that may come from different drafts."""
AFTER_A_TRUNK = (*SUIT_MOST, "rrs_skip_repeats", "block_first_path", "traversal")
ON_PATHS = (*AFTER_A_TRUNK, "gbv")
ON_BRANCHES = {
    "with_replacement": AFTER_A_TRUNK,
    "without_replacement": (
        "nss",
        "first_draft",
        "rrs_without_replacement",
        "block_first_path",
        "traversal",
    ),
    "greedy": ("nss", "greedy", "univer"),
    "top_k": ("nss",),
}
TOKEN_BY_TOKEN = (
    "nss",
    "first_draft",
    "rrs_with_replacement",
    "rrs_skip_repeats",
    "rrs_without_replacement",
    "greedy",
)
SIZES = ((2, 2, 2), (3, 2, 2), (2, 3, 2), (2, 2, 3), (3, 1, 3), (3, 2, 1))
"""V, L and K, in turn."""
WIDTHS = ((2, 2), (3, 1), (2, 1), (1, 3), (3,), (1, 2))
SLOTS = ((0,), (0, 0), (0, 1), (1,), (1, 0), (0, 0, 0))
"""A topology whose ranks are worth different subtrees."""
PROGRAM = 1e-9
"""HiGHS in float64 against fractions."""
ROUNDING = 1e-12
"""Float64 against fractions where roots are taken."""


def law_of(case: Case) -> TreeLaw:
    """The package's name for how a case drafts."""
    if case.trunk:
        return trees.DelayedPaths(case.num_paths, case.trunk, case.length - case.trunk)
    if case.num_paths:
        return trees.Paths(case.num_paths, case.length)
    slots = trees.Topology(case.slots) if case.slots else case.widths
    return trees.Branching(slots, sampling=case.sampling)


def arguments_of(case: Case) -> tuple[Any, Any, TreeLaw]:
    drafts = case.drafts[0] if len(case.drafts) == 1 else case.drafts
    return case.target, drafts, law_of(case)


def paths_of_seed(seed: int) -> Case:
    vocab_size, length, num_paths = SIZES[seed % 6]
    models = (language_models if seed % 4 == 3 else uniform_models)(seed, vocab_size, length)
    return paths_case(*models, length, num_paths)


def branches_of_seed(seed: int) -> Case:
    sampling, widths = tuple(ON_BRANCHES)[seed // 6 % 4], WIDTHS[seed % 6]
    models = (language_models if seed % 4 == 1 else uniform_models)(seed + 1, 3, len(widths))
    return branching_case(*models, widths, sampling)


def rare_cases(seed: int) -> list[tuple[Case, tuple[str, ...]]]:
    """Paths of different drafts, paths that part late, a topology of unequal subtrees."""
    target, draft = uniform_models(seed, 2, 3)
    others = (draft, uniform_models(seed + 1, 2, 3)[1])
    return [
        (Case(target, others, 2, num_paths=2), SUIT_MOST),
        (Case(target, (draft,), 3, num_paths=2, trunk=1), AFTER_A_TRUNK),
        *(
            (Case(target, (draft,), 3, sampling=sampling, slots=SLOTS), names)
            for sampling, names in ON_BRANCHES.items()
        ),
    ]


def check_verifiers(case: Case, names: tuple[str, ...]) -> None:
    """The law of node and token is the algorithm's, and lossless; so is the expected length."""
    for name in names:
        expected = block_law(case, VERIFIERS[name])
        assert is_lossless(case, expected), name
        found = trees.block_law(*arguments_of(case), name)
        assert {block: mass for block, mass in found.items() if mass} == expected, name
        assert not any(isinstance(mass, float) for mass in found.values()), name
        mean = trees.expected_length(*arguments_of(case), name)
        assert mean == expected_length(expected), name
        assert not isinstance(mean, float), name


def check_optima(case: Case, names: tuple[str, ...]) -> None:
    """Optima are those over antichains, bounds those over subsets, and nothing exceeds them."""
    arguments = arguments_of(case)
    exact = {state: optimum(case, state) for state in ("one_call", "carried")}
    for state, value in exact.items():
        assert abs(trees.optimal_value(*arguments, state=state).value - float(value)) < PROGRAM
    bound = depth_bound(case)
    found = trees.depth_bound(*arguments)
    if case.num_paths and not case.trunk and len(case.drafts) == 1:
        assert found == bound
        assert not isinstance(found, float)
    assert abs(float(found) - float(bound)) < PROGRAM
    assert exact["one_call"] <= exact["carried"] <= bound
    for name in names:
        assert trees.expected_length(*arguments, name) <= exact["one_call"], name


def check_best_token_by_token(case: Case) -> None:
    """The best rule that decides token by token: below the optimum, above all such rules."""
    best = top_down_optimum(case)
    found = trees.expected_length(*arguments_of(case), "top_down_optimum")
    assert abs(found - float(best)) < PROGRAM
    assert best <= optimum(case, "one_call")
    names = ON_PATHS if case.num_paths else ON_BRANCHES[case.sampling]
    for name in set(names) & set(TOKEN_BY_TOKEN):
        assert trees.expected_length(*arguments_of(case), name) <= best, name
    if case.sampling == "with_replacement":
        check_irrational_rates(case, float(best))


def check_irrational_rates(case: Case, best: float) -> None:
    """Two rules whose rates are roots: lossless up to rounding, and not above the best."""
    for name in ("k_seq", "optimal_per_node"):
        blocks = trees.block_law(*arguments_of(case), name)
        as_fractions = {block: Fraction(float(mass)) for block, mass in blocks.items()}
        assert max(map(abs, text_errors(case, as_fractions))) < ROUNDING, name
        mean = trees.expected_length(*arguments_of(case), name)
        assert abs(mean - float(expected_length(as_fractions))) < ROUNDING, name
        assert mean <= best + ROUNDING, name


def check_floats(case: Case, names: tuple[str, ...]) -> None:
    """Rows in float64 give the same law up to rounding, where no ratios tie."""
    target, draft = (
        {prefix: tuple(map(float, row)) for prefix, row in model.items()}
        for model in (case.target, case.drafts[0])
    )
    for name in names:
        exact = trees.block_law(*arguments_of(case), name)
        rounded = trees.block_law(target, draft, law_of(case), name)
        for block in {*exact, *rounded}:
            gap = float(exact.get(block, 0)) - rounded.get(block, 0)
            assert abs(gap) < ROUNDING, (name, block)


def check(seed: int) -> None:
    paths, branches = paths_of_seed(seed), branches_of_seed(seed)
    for case, names in ((paths, ON_PATHS), (branches, ON_BRANCHES[branches.sampling])):
        check_verifiers(case, names)
        check_optima(case, names)
        check_best_token_by_token(case)


if __name__ == "__main__":
    count = int(sys.argv[1])
    for number in range(count):
        check(number)
    sys.stdout.write(f"{count} seeds enumerated, none fails\n")
