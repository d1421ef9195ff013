"""Everything that one random case is checked for; run as a module for many of them.

python -m tests.trees.enumeration 1000
"""

from __future__ import annotations

import sys

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
from tests.oracles.trees.verifiers import VERIFIERS, block_law, expected_length, is_lossless

ON_PATHS = (
    "nss",
    "first_draft",
    "rrs_with_replacement",
    "rrs_skip_repeats",
    "block_first_path",
    "gbv",
    "traversal",
)
ON_BRANCHES = {
    "with_replacement": ("nss", "first_draft", "rrs_with_replacement", "rrs_skip_repeats")
    + ("block_first_path", "traversal"),
    "without_replacement": ("nss", "rrs_without_replacement", "block_first_path", "traversal"),
    "greedy": ("nss", "greedy", "univer"),
    "top_k": ("nss",),
}
SIZES = ((2, 2, 2), (3, 2, 2), (2, 3, 2), (2, 2, 3), (3, 1, 3), (3, 2, 1))
"""V, L and K, in turn."""
WIDTHS = ((2, 2), (3, 1), (2, 2), (1, 3), (3,), (2, 2))
PROGRAM = 1e-9
"""HiGHS in float64 against fractions."""


def law_of(case: Case) -> TreeLaw:
    """The package's name for how a case drafts."""
    if case.num_paths:
        return trees.Paths(case.num_paths, case.length)
    return trees.Branching(case.widths, sampling=case.sampling)


def cases_of(seed: int) -> list[tuple[Case, tuple[str, ...]]]:
    """Cases of one seed with the verifiers that suit them: K paths, and branches by one law."""
    vocab_size, length, num_paths = SIZES[seed % 6]
    models = (language_models if seed % 4 == 3 else uniform_models)(seed, vocab_size, length)
    sampling = tuple(ON_BRANCHES)[seed // 6 % 4]
    widths = WIDTHS[seed % 6]
    rows = (language_models if seed % 4 == 1 else uniform_models)(seed + 1, 3, len(widths))
    return [
        (paths_case(*models, length, num_paths), ON_PATHS),
        (branching_case(*rows, widths, sampling), ON_BRANCHES[sampling]),
    ]


def check_verifiers(case: Case, names: tuple[str, ...]) -> None:
    """The law of node and token is the algorithm's, and lossless; so is the expected length."""
    for name in names:
        expected = block_law(case, VERIFIERS[name])
        assert is_lossless(case, expected), name
        found = trees.block_law(case.target, case.drafts[0], law_of(case), name)
        assert {block: mass for block, mass in found.items() if mass} == expected, name
        mean = trees.expected_length(case.target, case.drafts[0], law_of(case), name)
        assert mean == expected_length(expected), name


def check_optima(case: Case, names: tuple[str, ...]) -> None:
    """Optima are those over antichains, bounds those over subsets, and nothing exceeds them."""
    arguments = case.target, case.drafts[0], law_of(case)
    exact = {state: optimum(case, state) for state in ("one_call", "carried")}
    for state, value in exact.items():
        assert abs(trees.optimal_value(*arguments, state=state).value - float(value)) < PROGRAM
    bound = depth_bound(case)
    assert abs(trees.depth_bound(*arguments) - bound) < PROGRAM
    assert exact["one_call"] <= exact["carried"] <= bound
    for name in names:
        assert trees.expected_length(*arguments, name) <= exact["one_call"], name
    if case.num_paths:
        best = top_down_optimum(case)
        found = trees.expected_length(*arguments, "top_down_optimum")
        assert abs(found - float(best)) < PROGRAM
        assert best <= exact["one_call"]


def check(seed: int) -> None:
    for case, names in cases_of(seed):
        check_verifiers(case, names)
        check_optima(case, names)


if __name__ == "__main__":
    count = int(sys.argv[1])
    for number in range(count):
        check(number)
    sys.stdout.write(f"{count} seeds enumerated, none fails\n")
