"""One path through the rooms of trees and of paths: the same law, the same lengths."""

from __future__ import annotations

from fractions import Fraction

import pytest

from mdbound import paths, trees
from mdbound.trees.seeded_models import seeded_pair

CHAINS = {
    "block_first_path": "block",
    "traversal": "block",
    "gbv": "block",
    "quantile": "block",
    "first_draft": "single_draft",
    "rrs_with_replacement": "single_draft",
    "rrs_skip_repeats": "single_draft",
    "nss": "match",
}


@pytest.mark.parametrize(("verifier", "rule"), CHAINS.items())
@pytest.mark.parametrize("seed", range(4))
def test_chains_have_the_law_of_one_path(verifier: str, rule: str, seed: int) -> None:
    target, draft = seeded_pair("uniform", 3, 2, 61, seed, exact=True)
    options = {"quantile": {"bins": [[Fraction(1, 2), 2], [1]]}}.get(verifier, {})
    made = trees.verifier(verifier, **options)
    found: dict[tuple[int, int], Fraction] = {}
    for (node, token), mass in trees.block_law(target, draft, trees.Paths(1, 2), made).items():
        key = len(node), token
        found[key] = found.get(key, Fraction(0)) + Fraction(mass)
    expected: dict[tuple[int, int], Fraction] = {}
    for first, a in enumerate(draft[()]):
        for second, b in enumerate(draft[(first,)]):
            if a * b > 0:
                law = paths.kernel(target, draft, (first, second), rule)
                for outcome, share in law.items():
                    mass = Fraction(a) * Fraction(b) * Fraction(share)
                    expected[outcome] = expected.get(outcome, Fraction(0)) + mass
    assert found == expected
    length = trees.expected_length(target, draft, trees.Paths(1, 2), made)
    lengths = paths.length_law(target, draft, 2, rule)
    assert length == sum(l * mass for l, mass in enumerate(lengths))


@pytest.mark.parametrize("verifier", ["k_seq", "optimal_per_node", "top_down_optimum"])
def test_floating_rules_on_a_chain(verifier: str) -> None:
    target, draft = seeded_pair("uniform", 3, 3, 62, 0)
    found = trees.expected_length(target, draft, trees.Paths(1, 3), verifier)
    law = paths.length_law(target, draft, 3, "single_draft")
    assert found == pytest.approx(float(sum(l * mass for l, mass in enumerate(law))), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_optima_of_a_chain(seed: int) -> None:
    """One call: block verification, by every road; carried: the sum of 1 - TV."""
    target, draft = seeded_pair("uniform", 3, 2, 63, seed)
    law = trees.Paths(1, 2)
    for state, rule in (("one_call", "block"), ("carried", "joint")):
        expected = float(sum(l * m for l, m in enumerate(paths.length_law(target, draft, 2, rule))))
        assert trees.optimal_value(target, draft, law, state).value == pytest.approx(
            expected, abs=1e-9
        )
        if state == "carried":
            assert trees.depth_bound(target, draft, law) == pytest.approx(expected, abs=1e-12)


def test_two_paths_are_not_a_chain() -> None:
    target, draft = seeded_pair("uniform", 3, 2, 61, 0, exact=True)
    one, two = (trees.expected_length(target, draft, trees.Paths(k, 2), "gbv") for k in (1, 2))
    assert one != two
