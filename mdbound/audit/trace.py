"""A trace of a server: what was drafted and put out, with the rows that were in force.

Every line has rows of its own, so outputs are compared with their rows on one scale: the tokens of
a row are put in an order that does not depend on the output, and the output becomes its place in
the running sum of p there, which is uniform if the output has law p. Two orders are looked at: by
p / q, in which a rule shows that takes drafts too often or too seldom, and by p, in which a wrong
temperature or a wrong cut shows. A third test bets that drafted tokens are put out more often than
any lossless rule can. All may be looked at any time (`mdbound.audit.sampling.evidence`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mdbound.audit.report import AuditReport, ProblemResult, Witness
from mdbound.audit.sampling.evidence import LEVEL, RUNS, log_evidence, looks
from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.errors import AuditError, InvalidSettingError, refuse_unknown

BINS = 16
"""Of the uniform scale: what a fault moves is seen if it moves mass between bins."""
REST = "rest"
"""Key of the mass of all tokens that a row does not list."""

_MASS_TOLERANCE = 1e-3
"""Rows of servers are half precision now and then; the listed masses are scaled to 1."""
_LONGEST_LINE = 1 << 24
"""Characters of a line that are read: rows of 150,000 tokens have some 4 million."""
_STAKES = (0.05, 0.2, 0.8)
"""Shares of the bet that drafts come out too often: a small one finds a small surplus."""
_BOUNDED = ("with_replacement", "without_replacement", "greedy")


@dataclass(frozen=True)
class _Line:
    """One line: masses of the tokens that the target lists, and of all others.

    Attributes:
        number: in the file, from 1.
        target: by token, scaled.
        draft: by token, scaled.
        drafted: tokens in the order drafted.
        output: the token put out.
    """

    number: int
    target: dict[int, float]
    draft: dict[int, float]
    target_rest: float
    draft_rest: float
    drafted: tuple[int, ...]
    output: int


def trace(
    file: Path | str, sampling: str = "with_replacement", *, level: float = LEVEL, seed: int = 0
) -> AuditReport:
    """Audit the trace of a verifier at single positions.

    Args:
        file: JSON lines `{"target": {"7": 0.5, "rest": 0.5}, "draft": {...}, "drafted": [7, 9],
            "output": 7}`: rows as they were used, after temperature and cuts, sparse; `rest` is the
            mass of all other tokens (what is missing to 1 where it is left out).
        sampling: how the tokens were drawn, for the largest acceptance that a lossless rule has.
        level: largest probability that a lossless rule is accused.
        seed: of the place within a token's own share of the scale.

    Returns:
        A report. `lossless` is False where the trace speaks against the target's law; True from
        20,000 lines on, where a rule that moves a mass of 0.05 along one of the two orders would
        have been found with probability 0.99; None below. Faults that move mass between tokens of
        equal rank only are beyond a trace: audit the rule itself.

    Raises:
        AuditError: a line is none of these; names the line.
        InvalidSettingError: an unknown law, or a level out of range.

    Example:
        >>> import tempfile
        >>> lines = '{"target": {"0": 1.0}, "draft": {"1": 1.0}, "drafted": [1], "output": 1}'
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "trace.jsonl")
        ...     _ = file.write_text(lines)
        ...     report = trace(file)
        >>> report.lossless, report.witness.reason
        (False, 'the output has target probability 0')
    """
    refuse_unknown([sampling], _BOUNDED, "`sampling`")
    if not 0.0 < level < 1.0:
        raise InvalidSettingError(f"`level` {level}: give a probability between 0 and 1")
    path = Path(file)
    rng = np.random.default_rng(seed)
    places = _Places()
    for line in _lines(path):
        impossible = _impossible(line)
        if impossible is not None:
            return AuditReport(
                False, 1.0, impossible, (), f"line {line.number} of {path} cannot be"
            )
        places.add(line, sampling, rng)
    if not places.hits:
        raise AuditError(f"{path} holds no lines: give one for every output")
    return places.report(level, sampling)


class _Places:
    """Where outputs stand on their rows' scales."""

    def __init__(self) -> None:
        self.by_ratio: list[float] = []
        self.by_target: list[float] = []
        self.first_drafts: list[float] = []
        self.hits: list[bool] = []
        self.bounds: list[float] = []

    def add(self, line: _Line, sampling: str, rng: np.random.Generator) -> None:
        """Place one line."""
        tokens = list(line.target)
        p = np.array([*line.target.values(), line.target_rest])
        q = np.array([*(line.draft.get(token, 0.0) for token in tokens), math.inf])
        at = tokens.index(line.output) if line.output in line.target else len(tokens)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = p / q  # the rest comes first
        self.by_ratio.append(place_of(at, p, ratio, rng))
        self.by_target.append(place_of(at, p, np.append(p[:-1], -1.0), rng))
        self._place_draft(line, rng)
        self.hits.append(line.output in line.drafted)
        self.bounds.append(_bound(line, sampling))

    def _place_draft(self, line: _Line, rng: np.random.Generator) -> None:
        tokens = list(line.draft)
        q = np.array([*line.draft.values(), line.draft_rest])
        first = line.drafted[0]
        at = tokens.index(first) if first in line.draft else len(tokens)
        self.first_drafts.append(place_of(at, q, np.append(q[:-1], -1.0), rng))

    def report(self, level: float, sampling: str) -> AuditReport:
        """The verdict on all lines."""
        hits, bounds = np.array(self.hits, dtype=float), np.array(self.bounds)
        tests = {
            "outputs by p / q": uniform_evidence(self.by_ratio),
            "outputs by p": uniform_evidence(self.by_target),
            "drafted tokens among the outputs": surplus_evidence(hits, bounds),
        }
        count = len(hits)
        together = np.logaddexp.reduce(list(tests.values())) - math.log(len(tests))
        accused = bool(together >= -math.log(level))
        strongest = max(tests, key=lambda name: tests[name])
        gap = _binned_gap(self.by_ratio if strongest == "outputs by p / q" else self.by_target)
        statement = (
            f"{count:,} lines; odds against the target's law 10^{together / math.log(10):.1f}, "
            f"the strongest of {strongest}"
        )
        if sampling != "greedy":
            drafts = uniform_evidence(self.first_drafts)
            if drafts >= -math.log(level):
                statement += (
                    "; the first drafted tokens do not have the recorded draft law (odds "
                    f"10^{drafts / math.log(10):.1f}): were raw rows recorded for warped ones?"
                )
        if not accused and count < RUNS:
            statement += f"; give {RUNS:,} lines or more for a verdict"
        result = ProblemResult(
            "the trace", gap, float(hits.mean()), float(bounds.mean()), runs=count
        )
        witness = None
        if accused:
            witness = _surplus_witness(strongest, hits, bounds, gap, count)
        verdict = False if accused else (True if count >= RUNS else None)
        return AuditReport(verdict, gap, witness, (result,), statement)


def place_of(at: int, masses: FloatArray, scores: FloatArray, rng: np.random.Generator) -> float:
    """A place in [0, 1] that is uniform if `at` has the law `masses`.

    Args:
        at: an outcome.
        masses: probability of each outcome, (k,).
        scores: the order of the outcomes, which must not depend on `at`; equal ones share.
        rng: of the place within the outcome's own share.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> 0.5 <= place_of(1, np.array([0.5, 0.5]), np.array([0.0, 1.0]), rng) <= 1.0
        True
    """
    below = masses[scores < scores[at]].sum()
    return float(below + rng.random() * masses[scores == scores[at]].sum())


def uniform_evidence(places: list[float] | FloatArray) -> float:
    """Largest log evidence that places are not uniform, over the looks.

    Example:
        >>> spread = np.arange(5000) * 0.618 % 1.0
        >>> uniform_evidence(spread) < 0 < uniform_evidence([0.01] * 100)
        True
    """
    bins = _bins(places)
    law = np.full(BINS, 1 / BINS)
    return max(
        log_evidence(np.bincount(bins[:until], minlength=BINS), law) for until in looks(len(bins))
    )


def surplus_evidence(hits: FloatArray, bounds: FloatArray) -> float:
    """Largest log evidence that hits come more often than their bounds allow, over the lines.

    A bet of a share of the stake on every hit, at odds that are fair if it comes as often as the
    bound says: it wins on average only against a rule that accepts more than any lossless one.

    Example:
        >>> surplus_evidence(np.ones(50), np.full(50, 0.5)) > 10
        True
        >>> surplus_evidence(np.zeros(50), np.full(50, 0.5)) <= 0
        True
    """
    wealth = [np.cumsum(np.log1p(stake * (hits - bounds))) for stake in _STAKES]
    mixed = np.logaddexp.reduce(wealth) - math.log(len(_STAKES))
    return float(mixed.max())


def _bins(places: list[float] | FloatArray) -> IntArray:
    return np.minimum((np.asarray(places) * BINS).astype(np.int64), BINS - 1)


def _binned_gap(places: list[float]) -> float:
    counts = np.bincount(_bins(places), minlength=BINS)
    return float(np.abs(counts / counts.sum() - 1 / BINS).sum()) / 2


def _surplus_witness(
    strongest: str, hits: FloatArray, bounds: FloatArray, gap: float, count: int
) -> Witness:
    of_drafts = strongest.startswith("drafted")
    return Witness(
        "the trace",
        {"lines": count, "test": strongest},
        "drafted tokens among the outputs" if of_drafts else f"{BINS} parts of the scale",
        Fraction(float(bounds.mean())) if of_drafts else None,
        Fraction(float(hits.mean())) if of_drafts else None,
        "more drafted tokens come out than under any lossless rule"
        if of_drafts
        else f"outputs are not spread as the rows say (off by about {gap:.3f} in total variation)",
    )


def _impossible(line: _Line) -> Witness | None:
    """What no run can show, whatever its coins were."""
    given = {"line": line.number, "drafted": list(line.drafted), "output": line.output}
    if line.target.get(line.output, line.target_rest) <= 0.0:
        reason = "the output has target probability 0"
        return Witness("the trace", given, f"line {line.number}", None, None, reason)
    for token in line.drafted:
        if line.draft.get(token, line.draft_rest) <= 0.0:
            reason = (
                f"drafted token {token} has draft probability 0: the recorded draft is not what "
                "was drawn from"
            )
            return Witness("the trace", given, f"line {line.number}", None, None, reason)
    return None


def _bound(line: _Line, sampling: str) -> float:
    """The largest acceptance of a lossless rule, tokens that are not in both rows put together.

    Putting tokens together can only raise it, so that the bet stays fair.
    """
    from mdbound import bounds

    both = [token for token in line.target if token in line.draft]
    p = np.array([line.target[token] for token in both])
    q = np.array([line.draft[token] for token in both])
    p = np.append(p, max(0.0, 1.0 - p.sum()))
    q = np.append(q, max(0.0, 1.0 - q.sum()))
    found = bounds.optimal_acceptance(p / p.sum(), q / q.sum(), len(line.drafted), sampling)
    return min(1.0, float(found))


def _lines(path: Path) -> Iterator[_Line]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(iter(lambda: file.readline(_LONGEST_LINE + 1), ""), 1):
                if len(text) > _LONGEST_LINE:
                    raise _refused(path, number, f"longer than {_LONGEST_LINE:,} characters")
                if text.strip():
                    yield _line(path, number, text)
    except OSError as error:
        raise AuditError(f"{path}: {error.strerror or error}; give a file of JSON lines") from error
    except UnicodeDecodeError as error:
        raise AuditError(f"{path} is no UTF-8 text ({error.reason}); give JSON lines") from error


def _line(path: Path, number: int, text: str) -> _Line:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refused(path, number, f"no JSON ({error})") from error
    if not isinstance(value, dict) or set(value) != {"target", "draft", "drafted", "output"}:
        raise _refused(path, number, "give exactly target, draft, drafted and output")
    target, target_rest = _row(path, number, "target", value["target"])
    draft, draft_rest = _row(path, number, "draft", value["draft"])
    drafted = value["drafted"]
    if not isinstance(drafted, list) or not drafted or not all(map(_is_token, drafted)):
        raise _refused(path, number, f"drafted is {drafted!r}: give one token id or more")
    if not _is_token(value["output"]):
        raise _refused(path, number, f"output is {value['output']!r}: give a token id")
    return _Line(number, target, draft, target_rest, draft_rest, tuple(drafted), value["output"])


def _row(path: Path, number: int, name: str, found: Any) -> tuple[dict[int, float], float]:
    """Listed masses and that of all other tokens, scaled to a sum of 1."""
    if not isinstance(found, Mapping) or not found:
        raise _refused(path, number, f"{name} is no row: give {{token: probability}}")
    masses: dict[int, float] = {}
    for key, mass in found.items():
        if isinstance(mass, bool) or not isinstance(mass, int | float):
            raise _refused(path, number, f"{name} gives {key!r} {mass!r}: give a number")
        if not 0.0 <= mass <= 1.0 + _MASS_TOLERANCE:
            raise _refused(path, number, f"{name} gives {key!r} {mass}: give a probability")
        if key == REST:
            continue
        if not key.isascii() or not key.isdigit():
            raise _refused(path, number, f"{name} has the key {key!r}: give token ids and rest")
        masses[int(key)] = float(mass)
    listed = sum(masses.values())
    rest = float(found.get(REST, max(0.0, 1.0 - listed)))
    if REST not in found and rest < _MASS_TOLERANCE:
        rest = 0.0  # rounding of the listed ones, not tokens that were left out
    total = listed + rest
    if abs(total - 1.0) > _MASS_TOLERANCE:
        raise _refused(path, number, f"{name} sums to {total}: give probabilities, and rest")
    return {token: mass / total for token, mass in masses.items()}, rest / total


def _is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _refused(path: Path, number: int, reason: str) -> AuditError:
    return AuditError(f"{path}, line {number}: {reason}")
