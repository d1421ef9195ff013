"""How often the sequential tests accuse a lossless rule, and how surely they find a wrong one."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from mdbound import audit
from mdbound.audit.problems.models import path_problems
from mdbound.audit.problems.positions import position_problems
from mdbound.audit.sampling.evidence import RUNS, alarm_at, draw_until
from mdbound.audit.trace import surplus_evidence, uniform_evidence

AUDITS = 500
OFF = 0.05

Law = npt.NDArray[np.float64]


def hardest(law: Law) -> Law:
    """A law that is off by `OFF` in total variation, and as near as that can be otherwise.

    Mass goes from one half of the law to the other, in proportion within each: of all laws that
    far away this has the least relative entropy, up to how evenly the law can be halved.
    """
    order = np.argsort(-law)
    first = np.zeros(len(law), dtype=bool)
    for token in order:
        if law[first].sum() + law[token] <= 0.5 + 1e-12 or not first.any():
            first[token] = True
    if law[first].sum() < OFF or law[~first].sum() < OFF:
        pytest.skip("no two parts to move mass between")
    moved = law.copy()
    moved[first] *= 1 - OFF / law[first].sum()
    moved[~first] *= 1 + OFF / law[~first].sum()
    return moved


def alarm(law: Law, true: Law, problems: int, level: float, rng: np.random.Generator) -> bool:
    upto = np.cumsum(true)

    def draw(size: int) -> npt.NDArray[np.int64]:
        return np.searchsorted(upto, rng.random(size) * upto[-1], side="right")

    return draw_until(draw, law, RUNS, alarm_at(level, problems)).alarm


def position_law() -> Law:
    return np.array([float(mass) for mass in position_problems(2)[0].target])


def text_law() -> Law:
    """Texts of four tokens: 81 outcomes, the hardest of the battery's default lengths."""
    problem = path_problems(3)[0]
    law, prefixes = np.ones(1), [()]
    for _ in range(4):
        rows = np.array([[float(mass) for mass in problem.target[each]] for each in prefixes])
        law = (law[:, None] * rows).ravel()
        prefixes = [(*each, token) for each in prefixes for token in range(3)]  # type: ignore[misc]
    return law


@pytest.mark.parametrize("make", [position_law, text_law])
def test_a_rule_that_is_off_by_five_hundredths_is_found(make: object) -> None:
    law = make()  # type: ignore[operator]
    true = hardest(law)
    assert 0.5 * np.abs(true - law).sum() == pytest.approx(OFF)
    rng = np.random.default_rng(1)
    missed = sum(not alarm(law, true, 15, 1e-3, rng) for _ in range(AUDITS))
    assert missed <= 0.01 * AUDITS


def test_a_lossless_rule_is_hardly_ever_accused() -> None:
    laws = [np.array([float(mass) for mass in each.target]) for each in position_problems(2)]
    rng = np.random.default_rng(2)
    accused = sum(any(alarm(law, law, len(laws), 1e-3, rng) for law in laws) for _ in range(AUDITS))
    assert accused <= 3  # 0.5 are expected at most; four or more have probability below 0.002


def test_the_level_is_kept_where_it_can_be_counted() -> None:
    """At a level of a fifth hundreds of alarms are allowed, so that an excess would show."""
    law, level = text_law(), 0.2
    rng = np.random.default_rng(3)
    accused = sum(alarm(law, law, 1, level, rng) for _ in range(AUDITS))
    assert accused <= level * AUDITS + 3 * math.sqrt(AUDITS * level * (1 - level))


def test_evidence_that_is_not_paid_for_breaks_the_level() -> None:
    """Control: the likelihood of the best law in hindsight accuses nearly always."""
    law = text_law()
    rng = np.random.default_rng(4)
    accused = 0
    for _ in range(50):
        counts = rng.multinomial(RUNS, law)
        seen = counts > 0
        ratio = (counts[seen] * np.log(counts[seen] / RUNS / law[seen])).sum()
        accused += bool(ratio >= alarm_at(1e-3, 1))
    assert accused > 40


def places(rng: np.random.Generator, moved: float) -> Law:
    """Places of outputs where a mass was moved from the lower half of the scale to the upper."""
    found = rng.random(RUNS)
    swap = (found < 0.5) & (rng.random(RUNS) < 2 * moved)
    found[swap] += 0.5
    return found


def threshold_of_traces() -> float:
    return -math.log(1e-3) + math.log(3)  # three tests share the level


def test_a_trace_that_is_off_by_five_hundredths_is_found() -> None:
    rng = np.random.default_rng(5)
    found = [uniform_evidence(places(rng, OFF)) for _ in range(AUDITS)]
    assert sum(each < threshold_of_traces() for each in found) <= 0.01 * AUDITS


def test_a_lossless_trace_is_hardly_ever_accused() -> None:
    rng = np.random.default_rng(6)
    accused = sum(uniform_evidence(places(rng, 0.0)) >= -math.log(1e-3) for _ in range(AUDITS))
    assert accused <= 3


def test_a_surplus_of_drafts_is_found_and_none_is_imagined() -> None:
    rng = np.random.default_rng(7)
    bounds = rng.uniform(0.3, 0.9, size=(AUDITS, RUNS))
    level = -math.log(1e-3)
    fair = [surplus_evidence(rng.random(RUNS) < row, row) for row in bounds]
    assert sum(each >= level for each in fair) <= 3
    above = [surplus_evidence(rng.random(RUNS) < row + OFF, row) for row in bounds]
    assert sum(each < threshold_of_traces() for each in above) <= 0.01 * AUDITS


def test_a_whole_audit_finds_it_and_clears_the_right_rule() -> None:
    problem = position_problems(2)[0]
    target = position_law()
    wrong = np.cumsum(hardest(target))

    def from_the_target(p: Law, q: Law, drafted: tuple[int, ...], rng: np.random.Generator) -> int:
        return int(np.searchsorted(np.cumsum(p), rng.random(), side="right"))

    def off(p: Law, q: Law, drafted: tuple[int, ...], rng: np.random.Generator) -> int:
        return int(np.searchsorted(wrong, rng.random(), side="right"))

    assert audit.sampled(from_the_target, problems=[problem]).lossless is True
    report = audit.sampled(off, problems=[problem])
    assert report.lossless is False
    assert report.witness is not None
    assert "standard error" in report.witness.reason
    assert audit.sampled(from_the_target, problems=[problem], runs=1000).lossless is None
