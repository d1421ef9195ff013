"""b(y) = P(output y and y drafted) / p(y) against every drafted tuple, in rational numbers."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from mdbound import paths, schemes
from mdbound.errors import InvalidDistributionError, InvalidSettingError
from tests.oracles import schemes as oracles
from tests.schemes.cases import Case, make_case, small_cases
from tests.schemes.test_small_vocabulary import ORACLES

CASES = small_cases(per_kind=8, sizes=(3, 4))
CLOSED = (
    "single_draft",
    "nss",
    "first_draft",
    "rrs_with_replacement",
    "k_seq",
    "spechub",
    "greedy",
)
SETTINGS = [(name, n) for name in CLOSED for n in (1, 2, 3) if schemes.get(name).supports(n)]


def enumerated(name: str, case: Case, n: int) -> dict[int, Fraction | float]:
    """b of every token that the target can give, from tuples and branches."""
    law, verify = ORACLES[name](case, n)
    branches = oracles.enumerate_scheme(law, verify).branches
    return {
        y: sum((law[drafted] * inside.get(y, 0) for drafted, inside in branches.items()), 0) / mass
        for y, mass in enumerate(case.target)
        if mass
    }


def wrong_by(name: str, case: Case, n: int, other: str, m: int) -> float:
    """How far the closed form of one scheme is from the enumeration of another."""
    truth = enumerated(name, case, n)
    rule = schemes.get(other)
    return max(
        abs(rule.token_acceptance(case.p, case.q, m, y) - float(b)) for y, b in truth.items()
    )


@pytest.mark.parametrize(("name", "n"), SETTINGS)
def test_against_all_tuples(name: str, n: int) -> None:
    scheme = schemes.get(name)
    for case in CASES:
        truth = enumerated(name, case, n)
        for y, b in truth.items():
            found = scheme.token_acceptance(case.p, case.q, n, y)
            assert found == pytest.approx(float(b), abs=1e-12), (case, y)
        rate = scheme.acceptance(case.p, case.q, n).membership
        shares = sum(float(case.target[y]) * float(b) for y, b in truth.items())
        assert shares == pytest.approx(rate, abs=1e-12), case


@pytest.mark.parametrize(
    ("name", "n", "other", "m"),
    [
        ("single_draft", 1, "nss", 1),
        ("nss", 2, "nss", 3),
        ("first_draft", 2, "rrs_with_replacement", 2),
        ("rrs_with_replacement", 2, "first_draft", 2),
        ("rrs_with_replacement", 3, "k_seq", 3),
        ("k_seq", 2, "rrs_with_replacement", 2),
        ("spechub", 2, "k_seq", 2),
        ("greedy", 3, "greedy", 2),
        ("greedy", 2, "optimal", 2),
    ],
)
def test_another_closed_form_is_caught(name: str, n: int, other: str, m: int) -> None:
    assert max(wrong_by(name, case, n, other, m) for case in CASES) > 0.01


@pytest.mark.parametrize("num_drafts", [2, 3])
def test_different_drafts(num_drafts: int) -> None:
    for kind, seed in itertools.product(("dense", "sparse", "tied", "point_mass"), range(4)):
        case = make_case(kind, 4, seed)
        drafts = [make_case(kind, 4, 100 * k + seed).draft for k in range(num_drafts)]
        rows = [np.array([float(mass) for mass in draft]) for draft in drafts]
        law = oracles.independent_law(drafts)
        verifiers = {
            "nss": oracles.nss(case.target),
            "first_draft": oracles.first_draft(case.target, drafts[0]),
        }
        for name, verify in verifiers.items():
            branches = oracles.enumerate_scheme(law, verify).branches
            for y in np.flatnonzero(case.p):
                inside = sum(law[drafted] * got.get(y, 0) for drafted, got in branches.items())
                found = schemes.get(name).token_acceptance(case.p, rows, num_drafts, int(y))
                assert found == pytest.approx(float(inside / case.target[y]), abs=1e-12), case


@pytest.mark.parametrize("n", [1, 2, 3])
def test_optimal_against_its_branches_and_the_bound(n: int) -> None:
    """Sums over all tuples of the branch probabilities; with weights p, alpha* by enumeration."""
    scheme = schemes.get("optimal")
    below = 0.0
    for case in CASES[::2]:
        law = oracles.with_replacement_law(case.draft, n)
        tokens = np.flatnonzero(case.p)
        inside = np.zeros(len(case.p))
        for drafted, mass in law.items():
            for y, share in scheme.branch_probabilities(case.p, case.q, drafted).items():
                inside[y] += float(mass) * share
        found = np.array([scheme.token_acceptance(case.p, case.q, n, int(y)) for y in tokens])
        # As masses: a branch is good to 1e-11, which a token of mass 1e-9 would divide by that.
        assert case.p[tokens] * found == pytest.approx(inside[tokens], abs=1e-11), case
        bound = float(oracles.optimum(case.target, law))
        assert case.p[tokens] @ found == pytest.approx(bound, abs=1e-12), case
        rrs = schemes.get("rrs_with_replacement")
        rates = [rrs.token_acceptance(case.p, case.q, n, int(y)) for y in tokens]
        below = max(below, bound - float(case.p[tokens] @ np.array(rates)))
    assert (below > 1e-3) == (n > 1)  # with one draft they are one scheme


@pytest.mark.parametrize("sampling", ["without_replacement", "greedy"])
def test_optimal_under_other_draft_laws(sampling: str) -> None:
    laws = {"without_replacement": oracles.without_replacement_law, "greedy": oracles.greedy_law}
    for case in CASES[::2]:
        bound = float(oracles.optimum(case.target, laws[sampling](case.draft, 2)))
        scheme = schemes.get("optimal", sampling=sampling)
        found = sum(
            case.p[y] * scheme.token_acceptance(case.p, case.q, 2, int(y))
            for y in np.flatnonzero(case.p)
        )
        assert found == pytest.approx(bound, abs=1e-12), case


def trees(
    case: list[Case], name: str, num_drafts: int
) -> dict[tuple[int, int], tuple[Fraction | float, Fraction | float]]:
    """By text of two tokens: P(text, first drafted), P(text, both drafted).

    Every full tree of depth 2 is written down, one subtree for each slot of the root. Verification
    goes down the first slot that holds the output. `case[0]` is the root's position, and
    `case[1 + y]` the position after y.
    """
    root_law, root_verify = ORACLES[name](case[0], num_drafts)
    vocab_size = len(case[0].target)
    below = [ORACLES[name](one, num_drafts) for one in case[1:]]
    found: dict[tuple[int, int], tuple[Fraction | float, Fraction | float]] = {}
    for slots, mass in root_law.items():
        # A subtree's law is that of the token in its slot, whichever token is put out later.
        subtrees = itertools.product(*(below[x][0].items() for x in slots))
        for tree in subtrees:
            weight = mass
            for _, one in tree:
                weight = weight * one
            for probability, first, _ in root_verify(slots):
                if first in slots:
                    drafted = tree[slots.index(first)][0]
                    step = [(r, y, y in drafted) for r, y, _ in below[first][1](drafted)]
                else:
                    step = [(case[1 + first].target[y], y, False) for y in range(vocab_size)]
                for later, second, inside in step:
                    one, both = found.get((first, second), (0, 0))
                    part = weight * probability * later
                    found[first, second] = (
                        one + (part if first in slots else 0),
                        both + (part if first in slots and inside else 0),
                    )
    return found


@pytest.mark.parametrize("name", ["rrs_with_replacement", "nss", "k_seq"])
@pytest.mark.parametrize("size", [2, 3])
def test_full_binary_trees_node_by_node(name: str, size: int) -> None:
    """P(depth >= l | text) is the running product of b, over all trees of two levels."""
    scheme = schemes.get(name)
    differs = 0.0
    for seed in range(4 if size == 2 else 2):
        kinds = ("dense", "sparse", "tied", "dense")
        case = [make_case(kinds[k], size, 10 * seed + k) for k in range(size + 1)]
        found = trees(case, name, 2)
        for text in itertools.product(range(size), repeat=2):
            nodes = (case[0], case[1 + text[0]])
            mass = nodes[0].target[text[0]] * nodes[1].target[text[1]]
            if not mass:
                continue
            wanted = [float(one / mass) for one in found[text]]
            b, wrong = (
                [
                    scheme.token_acceptance(node.p, node.q, n, y)
                    for node, y in zip(nodes, text, strict=True)
                ]
                for n in (2, 3)
            )
            assert paths.node_tail(b) == pytest.approx(wanted, abs=1e-12), (case, text)
            differs = max(differs, float(np.abs(paths.node_tail(wrong) - wanted).max()))
    assert differs > 0.01


def test_batches_and_tiny_masses() -> None:
    target, draft = np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[0.25, 0.75], [0.5, 0.5]])
    for name in CLOSED:
        n = 1 if name == "single_draft" else 2
        scheme = schemes.get(name)
        found = scheme.token_acceptance(target, draft, n, np.array([1, 0]))
        alone = [scheme.token_acceptance(target[r], draft[r], n, y) for r, y in ((0, 1), (1, 0))]
        assert found.tolist() == alone, name
    tiny = np.array([1.0, 5e-324])
    for name in CLOSED:
        n = 1 if name == "single_draft" else 2
        assert 0.0 <= schemes.get(name).token_acceptance(tiny, [0.5, 0.5], n, 1) <= 1.0


@pytest.mark.parametrize("name", ["rrs_without_replacement", "importance_sampling", "gumbel_list"])
def test_no_closed_form_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidSettingError, match=f"'{name}' has no closed form.*nss.*optimal"):
        schemes.get(name).token_acceptance([0.5, 0.5], [0.5, 0.5], 2, 0)


def test_refusals() -> None:
    scheme = schemes.get("nss")
    with pytest.raises(InvalidDistributionError, match="`token` 1 in row 0 has target probability"):
        scheme.token_acceptance([1.0, 0.0], [0.5, 0.5], 2, 1)
    with pytest.raises(InvalidSettingError, match="`token` is 2 in row 0: give token ids from 0"):
        scheme.token_acceptance([1.0, 0.0], [0.5, 0.5], 2, 2)
    with pytest.raises(InvalidSettingError, match="`token` has shape"):
        scheme.token_acceptance([1.0, 0.0], [0.5, 0.5], 2, 0.5)
    flat = np.full(600, 1 / 600)
    rows = [flat, np.r_[flat[:300] * 1.5, flat[300:] * 0.5]]
    with pytest.raises(InvalidSettingError, match="drafts of different laws from 600 tokens"):
        schemes.get("optimal").token_acceptance(rows[0], rows, 2, 0)


def test_optimal_with_drafts_of_different_laws() -> None:
    """p_I over p by the program: over the target it adds up to the optimum."""
    p, rows = np.array([0.5, 0.3, 0.2]), [np.array([0.2, 0.5, 0.3]), np.array([0.6, 0.1, 0.3])]
    scheme = schemes.get("optimal")
    shares = [scheme.token_acceptance(p, rows, 2, token) for token in range(3)]
    assert p @ shares == pytest.approx(scheme.acceptance(p, rows, 2).membership, abs=1e-11)
