"""What schemes refuse, how batches come back, and the registry."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import schemes
from mdbound.errors import InvalidDistributionError, InvalidSettingError
from mdbound.schemes.contract.registry import register
from mdbound.schemes.contract.rows import map_rows

P, Q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.5, 0.3])
OTHER = np.array([0.1, 0.1, 0.8])

NAMES = (
    "single_draft",
    "nss",
    "first_draft",
    "rrs_with_replacement",
    "rrs_without_replacement",
    "k_seq",
    "k_seq_membership",
    "spechub",
    "greedy",
    "importance_sampling",
    "gumbel_list",
    "optimal",
)


def counts(name: str) -> list[int]:
    return [n for n in (1, 2, 3) if schemes.get(name).supports(n)]


def test_names_in_table_order() -> None:
    assert schemes.names() == NAMES


def test_unknown_scheme_suggests_the_nearest() -> None:
    with pytest.raises(InvalidSettingError, match=r"did you mean 'k_seq'\? .*spechub"):
        schemes.get("kseq")


def test_naive_is_refused_because_it_stands_for_two_schemes() -> None:
    with pytest.raises(
        InvalidSettingError, match=r"'naive' stands for two: .*'nss'.*'first_draft'"
    ):
        schemes.get("naive")
    with pytest.raises(InvalidSettingError, match=r"cannot be called 'naive'.*'first_draft'"):
        register(type("Naive", (schemes.Scheme,), {"name": "naive"}))
    assert "naive" not in schemes.names()


def test_unknown_option_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="'k_seq' refuses its options"):
        schemes.get("k_seq", rho=2)


def test_two_classes_of_one_name_are_refused() -> None:
    imposter = type("Imposter", (schemes.Scheme,), {"name": "k_seq"})
    with pytest.raises(InvalidSettingError, match=r"KSeq and .*Imposter"):
        register(imposter)
    assert schemes.get("k_seq").__class__.__name__ == "KSeq"


def test_too_many_drafts_lists_what_fits() -> None:
    message = r"'spechub' takes exactly 2 drafts, not 3; schemes for 3 drafts are nss, first.*k_seq"
    with pytest.raises(InvalidSettingError, match=message):
        schemes.get("spechub").acceptance(P, Q, 3)
    with pytest.raises(InvalidSettingError, match="'single_draft' takes exactly 1 drafts, not 2"):
        schemes.get("single_draft").sample(P, Q, 2, np.random.default_rng(0), 1)


def test_different_drafts_list_what_fits() -> None:
    message = (
        r"'k_seq' needs identical drafts, but drafts 0 and 1 differ \(row 0\); "
        r"schemes for different drafts are nss, first_draft, importance_sampling"
    )
    with pytest.raises(InvalidSettingError, match=message):
        schemes.get("k_seq").acceptance(P, [Q, OTHER], 2)
    with pytest.raises(InvalidSettingError, match="3 draft distributions for num_drafts = 2"):
        schemes.get("nss").acceptance(P, [Q, OTHER, Q], 2)


def test_a_list_of_equal_drafts_counts_as_identical() -> None:
    same = schemes.get("k_seq").acceptance(P, [Q, Q.copy()], 2)
    assert same == schemes.get("k_seq").acceptance(P, Q, 2)


def test_nss_with_different_drafts() -> None:
    rate = schemes.get("nss").acceptance(P, [Q, OTHER], 2)
    assert rate.membership == pytest.approx(float((P * (1 - (1 - Q) * (1 - OTHER))).sum()))
    certain = schemes.get("nss").acceptance(P, [np.array([1.0, 0.0, 0.0]), OTHER], 2)
    assert certain.membership == pytest.approx(0.5 + 0.3 * 0.1 + 0.2 * 0.8)


@pytest.mark.parametrize("name", NAMES)
def test_batches_agree_with_rows(name: str) -> None:
    rng = np.random.default_rng(8)
    p, q = rng.dirichlet(np.ones(7), size=(2, 5))
    scheme = schemes.get(name)
    for n in counts(name):
        batch = scheme.acceptance(p, q, n)
        assert batch.accept.shape == batch.membership.shape == (5,)
        for row in range(5):
            single = scheme.acceptance(p[row], q[row], n)
            assert isinstance(single.accept, float)
            assert batch.accept[row] == single.accept
            assert batch.membership[row] == single.membership
        shared = scheme.acceptance(p, q[0], n)
        assert shared.membership[0] == batch.membership[0]


@pytest.mark.parametrize("name", NAMES)
def test_curve_agrees_with_single_counts(name: str) -> None:
    rng = np.random.default_rng(9)
    p, q = rng.dirichlet(np.ones(9), size=(2, 3))
    scheme = schemes.get(name)
    curve = scheme.acceptance_curve(p, q, 4)
    assert curve.membership.shape == (3, 4)
    for n in range(1, 5):
        if scheme.supports(n):
            rate = scheme.acceptance(p, q, n)
            np.testing.assert_allclose(curve.accept[:, n - 1], rate.accept, atol=1e-13)
            np.testing.assert_allclose(curve.membership[:, n - 1], rate.membership, atol=1e-13)
        else:
            assert np.isnan(curve.membership[:, n - 1]).all()
    assert scheme.acceptance_curve(p[0], q[0], 4).accept.shape == (4,)


@pytest.mark.parametrize("name", NAMES)
def test_equal_distributions_are_always_accepted(name: str) -> None:
    if name == "nss":
        return
    for n in counts(name):
        rate = schemes.get(name).acceptance(P, P, n)
        assert rate.membership == pytest.approx(1.0, abs=1e-13)


@pytest.mark.parametrize("num_drafts", [0, -1, 1.5, True])
def test_refused_numbers_of_drafts(num_drafts: object) -> None:
    with pytest.raises(InvalidSettingError, match="num_drafts is"):
        schemes.get("k_seq").acceptance(P, Q, num_drafts)  # type: ignore[arg-type]


def test_refused_distributions() -> None:
    with pytest.raises(InvalidDistributionError, match="draft row 1 sums to"):
        schemes.get("k_seq").acceptance(P, np.array([Q, Q * 0.9]), 2)
    with pytest.raises(InvalidDistributionError, match="2 rows given"):
        schemes.get("k_seq").sample(np.array([P, P]), Q, 2, np.random.default_rng(0), 5)
    with pytest.raises(InvalidDistributionError, match="same vocabulary"):
        schemes.get("k_seq").acceptance(P, np.array([0.5, 0.5]), 2)
    with pytest.raises(InvalidDistributionError, match="rows"):
        schemes.get("nss").acceptance(P, [np.array([Q] * 2), np.array([Q] * 3)], 2)


@pytest.mark.parametrize("size", [0, -3, 2.5])
def test_refused_sample_sizes(size: object) -> None:
    with pytest.raises(InvalidSettingError, match="size is"):
        schemes.get("k_seq").sample(P, Q, 2, np.random.default_rng(0), size)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "drafted"),
    [
        ("rrs_without_replacement", [1, 1]),
        ("greedy", [0, 1]),
        ("spechub", [0, 2]),
        ("k_seq", [0, 3]),
        ("k_seq", [-1, 0]),
        ("k_seq", []),
        ("single_draft", [0, 1]),
    ],
)
def test_refused_drafted_tuples(name: str, drafted: list[int]) -> None:
    with pytest.raises(InvalidSettingError):
        schemes.get(name).branch_probabilities(P, Q, drafted)


def test_tokens_of_zero_draft_probability_cannot_be_drafted() -> None:
    with pytest.raises(InvalidSettingError, match="cannot draft"):
        schemes.get("k_seq").branch_probabilities(P, np.array([0.5, 0.5, 0.0]), [2, 0])


def test_rows_keep_their_order_on_threads() -> None:
    assert map_rows(lambda row: row, 1001) == list(range(1001))
