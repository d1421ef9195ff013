"""A law registered at run time is solved wherever its own methods suffice, and elsewhere refused.

The toy law draws one token and copies it n times: F(H) = q(H), so the optimum is that of one draft.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mdbound import bounds, schemes
from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.solve_cache import solve_cache
from mdbound.analysis.studies.study_file import read_study
from mdbound.analysis.verification.verify import verify_results
from mdbound.bounds.laws import registry
from mdbound.bounds.problem.solution import AcceptanceCurve
from mdbound.bounds.programs.draft_sets import count_sets, draft_sets
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache import LogitsCache, write_cache
from tests.hard_rows import adversarial_pairs
from tests.oracles.acceptance_over_all_sets import optimum
from tests.oracles.drafted_tuples import containment

NAME = "copies"
REFUSED = f"sampling is '{NAME}', and .* exist for with_replacement, without_replacement, greedy"
P, Q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.5, 0.3])
LOGITS_P, LOGITS_Q = (np.log(row).astype(np.float32) for row in (P, Q))


class Copies(bounds.DraftLaw):
    """One draw, n times the same token."""

    name = NAME

    def curve(self, target, draft, max_drafts, strict=True):
        del strict
        short = target < draft
        curve = AcceptanceCurve.empty(len(target), max_drafts)
        curve.acceptance[:] = np.minimum(target, draft).sum(axis=1, keepdims=True)
        curve.subset_size[:] = short.sum(axis=1, keepdims=True)
        curve.target_mass[:] = (target * short).sum(axis=1, keepdims=True)
        curve.containment[:] = (draft * short).sum(axis=1, keepdims=True)
        curve.draft_mass[:] = curve.containment
        curve.error_bound[:] = 1e-13
        return curve

    def optimal_subset(self, target, draft, num_drafts):
        del num_drafts
        return target < draft

    def containment(self, draft, subset, num_drafts):
        del num_drafts
        return float(draft[subset].sum())


@pytest.fixture(autouse=True)
def _copies() -> Iterator[None]:
    before = tuple(bounds.SAMPLING_LAWS)
    assert bounds.register_law(Copies) is Copies
    try:
        assert tuple(bounds.SAMPLING_LAWS) == (*before, NAME)
        yield
    finally:
        del registry._LAWS[NAME]
    assert tuple(bounds.SAMPLING_LAWS) == before


def test_probabilities_are_solved() -> None:
    for p, q in adversarial_pairs(150, seed=1):
        law = {(x,) * 3: mass for x, mass in enumerate(q) if mass > 0}
        expected = optimum(p, law)
        assert bounds.optimal_acceptance(p, q, 3, NAME) == pytest.approx(expected, abs=1e-12)
        assert bounds.acceptance_curve(p, q, 3, NAME) == pytest.approx([expected] * 3, abs=1e-12)
        solution = bounds.solve(p, q, 3, NAME)
        assert solution.acceptance == pytest.approx(expected, abs=1e-12)
        inside = containment(law, solution.subset.tolist())
        assert solution.containment == pytest.approx(inside, abs=1e-12)
        assert bounds.containment(q, solution.subset, 3, NAME) == pytest.approx(inside, abs=1e-12)
        assert 1.0 + p[solution.subset].sum() - inside == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("warpers", [{}, {"temperature": 0.7}, {"top_k": 2}])
def test_logits_are_solved(warpers: dict[str, float]) -> None:
    p, q = (bounds.distribution_from_logits(row, **warpers) for row in (LOGITS_P, LOGITS_Q))
    curve = bounds.solve_curve_from_logits(LOGITS_P, LOGITS_Q, 2, NAME, **warpers)
    assert curve.acceptance[0] == pytest.approx(np.minimum(p, q).sum(), abs=1e-12)


def test_bad_rows_are_left_out() -> None:
    rows = [P, [0.5, 0.5, np.nan]]
    assert bounds.solve_curve(rows, Q, 2, NAME, strict=False).unsolved == [1]


def test_tensors_are_solved_on_the_host() -> None:
    torch = pytest.importorskip("torch")
    found = bounds.acceptance_curve(torch.tensor(P), torch.tensor(Q), 2, NAME)
    assert torch.is_tensor(found)
    assert found.tolist() == pytest.approx([0.7, 0.7])
    found = bounds.acceptance_curve_from_logits(
        torch.tensor(LOGITS_P), torch.tensor(LOGITS_Q), 2, NAME
    )
    assert found.tolist() == pytest.approx([0.7, 0.7])


@pytest.mark.parametrize(
    "ask",
    [
        lambda: bounds.solve(P, Q, 2, NAME).certificate.check(P, Q),
        lambda: bounds.optimal_acceptance_lp(P, Q, 2, NAME),
        lambda: bounds.optimal_acceptance_lp(P, Q, 2, NAME, "cvxpy"),
        lambda: bounds.importance_sampling_lp(P, Q, 2, NAME),
        lambda: bounds.canonical_decomposition(P, Q, 2, NAME),
        lambda: count_sets(Q[None], 2, NAME),
        lambda: draft_sets(Q[None], 2, NAME),
    ],
)
def test_tables_refuse_it_by_name(ask: Callable[[], object]) -> None:
    with pytest.raises(InvalidSettingError, match=REFUSED):
        ask()


@pytest.mark.parametrize("law", tuple(bounds.SAMPLING_LAWS))
def test_tables_hold_the_laws_of_the_package(law: str) -> None:
    """What is refused above is there for the others; only one law has no closed decomposition."""
    draft = [Q, Q] if bounds.draft_law(law).several_distributions else Q
    solution = bounds.solve(P, draft, 2, law)
    assert solution.certificate.check(P, draft).error_of(solution.acceptance) < 1e-12
    assert bounds.optimal_acceptance_lp(P, draft, 2, law) == pytest.approx(solution.acceptance)
    if law != "independent":
        found = bounds.canonical_decomposition(P, draft, 2, law).acceptance
        assert found == pytest.approx(solution.acceptance)


def test_the_optimal_scheme_rates_it_and_cannot_run_it() -> None:
    scheme = schemes.get("optimal", sampling=NAME)
    assert scheme.acceptance(P, Q, 2).membership == pytest.approx(0.7)
    with pytest.raises(InvalidSettingError, match=NAME):
        scheme.sample(P, Q, 2, np.random.default_rng(0), 3)
    with pytest.raises(InvalidSettingError, match=NAME):
        scheme.branch_probabilities(P, Q, [0, 0])


@pytest.fixture
def cache(tmp_path: Path) -> LogitsCache:
    rng = np.random.default_rng(0)
    target, draft = rng.normal(size=(2, 6, 9)).astype(np.float32)
    write_cache(tmp_path / "capture", target, {"small": draft})
    return LogitsCache.open(tmp_path / "capture")


def test_a_capture_is_solved_and_its_verification_refused(
    cache: LogitsCache, tmp_path: Path
) -> None:
    settings = SolveGrid(sampling=(NAME, "greedy"), num_drafts=(1, 2)).settings(cache.draft_names)
    out = tmp_path / "results.parquet"
    solve_cache(cache, settings, out)
    with pytest.raises(InvalidSettingError, match=REFUSED):
        verify_results(out, cache, rows=24)


def test_schemes_of_other_laws_are_refused(cache: LogitsCache) -> None:
    grid = SolveGrid(sampling=(NAME,), schemes=("k_seq",))
    with pytest.raises(InvalidSettingError, match="k_seq"):
        grid.settings(cache.draft_names)


def test_studies_take_the_name_and_know_no_other(cache: LogitsCache, tmp_path: Path) -> None:
    def study(law: str) -> SolveGrid:
        file = tmp_path / "study.toml"
        file.write_text(f'name = "toy"\ncapture = "capture"\nsampling = ["{law}"]\n')
        return read_study(file, {}).grid

    (setting,) = study(NAME).settings(cache.draft_names)
    assert setting.sampling == NAME
    with pytest.raises(InvalidSettingError, match=f"copes.*{NAME}"):
        study("copes").settings(cache.draft_names)


def test_another_law_of_the_same_name_is_refused() -> None:
    class Other(Copies):
        pass

    with pytest.raises(InvalidSettingError, match=r"two draft laws are called 'copies': Copies"):
        bounds.register_law(Other)
    with pytest.raises(InvalidSettingError, match="did you mean 'copies'"):
        bounds.draft_law("copy")
