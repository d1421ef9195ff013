"""Branch probabilities that a kernel in another language wrote down, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from mdbound.audit.exact.finding import TOLERANCE, Finding
from mdbound.audit.exact.position import examine, position_audit
from mdbound.audit.numbers import exact_value, written
from mdbound.audit.problems.positions import SAMPLINGS, PositionProblem, Row
from mdbound.audit.report import AuditReport
from mdbound.errors import AuditError

_LARGEST_FILE = 1 << 28
"""Bytes that are read."""
_LARGEST_VOCABULARY = 64
_MOST_DRAFTS = 8


def battery_table(problems: Sequence[PositionProblem]) -> dict[str, Any]:
    """Problems as JSON, with a place for the law of every list of drafts.

    Example:
        >>> from mdbound.audit.problems.positions import position_problems
        >>> table = battery_table(position_problems(1))
        >>> table["problems"][0]["branches"][0]
        {'drafted': [0], 'output': None}
    """
    return {
        "problems": [
            {
                "name": problem.name,
                "sampling": problem.sampling,
                "target": [str(mass) for mass in problem.target],
                "drafts": [[str(mass) for mass in row] for row in problem.drafts],
                "branches": [
                    {"drafted": list(drafted), "output": None} for drafted, _ in problem.lists
                ],
            }
            for problem in problems
        ]
    }


def table(file: Path | str, *, tolerance: float = TOLERANCE) -> AuditReport:
    """Audit a rule at one position whose branch probabilities stand in a file.

    Args:
        file: `{"problems": [{"name", "sampling", "target", "drafts", "branches"}]}`, as
            `battery_table` makes it and the command line prints it, with `output` filled in:
            {token: probability} for every list of drafts, numbers or fractions as texts.
        tolerance: as `audit.exact`.

    Raises:
        AuditError: the file is none of these, or the law of a list is missing.

    Example:
        >>> import tempfile
        >>> problem = {"name": "one", "sampling": "with_replacement", "target": ["1/2", "1/2"],
        ...            "drafts": [[1, 0]], "branches": [{"drafted": [0], "output": {"0": 1}}]}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "table.json")
        ...     _ = file.write_text(json.dumps({"problems": [problem]}))
        ...     report = table(file)
        >>> report.lossless, str(report.witness.found)
        (False, '1')
    """
    path = Path(file)
    laws: dict[PositionProblem, dict[tuple[int, ...], Any]] = {}
    for number, found in enumerate(_problems(path)):
        where = f"{path}, problem {number}"
        problem = _problem(found, where)
        branches = found.get("branches")
        if not isinstance(branches, list):
            raise AuditError(f"{where}: `branches` is no list; give one for every list of drafts")
        laws[problem] = dict(_branch(branch, where) for branch in branches)
        for drafted, _ in problem.lists:
            if laws[problem].get(drafted) is None:
                raise AuditError(
                    f"{where}: {problem.name!r} lacks the law of the output for drafted {drafted}: "
                    "give {token: probability}, tokens that were not drafted included"
                )

    def examined(problem: PositionProblem) -> Finding:
        answers = laws[problem]
        return examine(lambda *given: answers[given[2]], problem, "float", Fraction(tolerance))

    # The table has no answers on other rows, so that the witness is the problem itself.
    kind = position_audit(examined, lambda _: ())
    return kind.audit(tuple(laws), tolerance, "problems of the table")


def _problems(path: Path) -> list[Any]:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise AuditError(f"{path} has more than {_LARGEST_FILE:,} bytes")
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AuditError(f"{path}: {error.strerror or error}; give a JSON file") from error
    except (ValueError, RecursionError) as error:
        raise AuditError(f"{path} is no JSON ({error})") from error
    problems = found.get("problems") if isinstance(found, dict) else None
    if not isinstance(problems, list) or not problems:
        raise AuditError(f"{path} has no list `problems`: give a battery with its laws filled in")
    return problems


def _problem(found: Any, where: str) -> PositionProblem:
    if not isinstance(found, dict):
        raise AuditError(f"{where}: no object")
    sampling, drafts = found.get("sampling"), found.get("drafts")
    if sampling not in SAMPLINGS:
        raise AuditError(f"{where}: `sampling` is {sampling!r}; it can be {', '.join(SAMPLINGS)}")
    if not isinstance(drafts, list) or not 1 <= len(drafts) <= _MOST_DRAFTS:
        raise AuditError(f"{where}: `drafts` is no list of 1 to {_MOST_DRAFTS} rows")
    target = _row(found.get("target"), f"{where}: `target`")
    rows = tuple(_row(row, f"{where}: `drafts`") for row in drafts)
    if any(len(row) != len(target) for row in rows):
        raise AuditError(f"{where}: `drafts` have another number of tokens than `target`")
    return PositionProblem(str(found.get("name", where)), target, rows, sampling)


def _row(found: Any, where: str) -> Row:
    if not isinstance(found, list) or not 1 <= len(found) <= _LARGEST_VOCABULARY:
        raise AuditError(f"{where} is no row of 1 to {_LARGEST_VOCABULARY} probabilities")
    try:
        row = tuple(map(exact_value, found))
    except ValueError as error:
        raise AuditError(f"{where}: {error}") from error
    if min(row) < 0 or abs(sum(row, Fraction(0)) - 1) > Fraction(TOLERANCE):
        raise AuditError(f"{where} sums to {written(sum(row, Fraction(0)))}: give probabilities")
    return row


def _branch(found: Any, where: str) -> tuple[tuple[int, ...], Any]:
    drafted = found.get("drafted") if isinstance(found, dict) else None
    if not isinstance(drafted, list) or not all(type(token) is int for token in drafted):
        raise AuditError(f"{where}: a branch has no list `drafted` of token ids")
    law = found.get("output")
    if not isinstance(law, dict):
        return tuple(drafted), law
    try:
        return tuple(drafted), {int(token): mass for token, mass in law.items()}
    except ValueError as error:
        raise AuditError(f"{where}: `output` of {drafted} has keys that are no tokens") from error
