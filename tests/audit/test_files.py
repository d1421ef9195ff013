"""Tables and traces: what they say, and that nothing in them is believed before it is checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mdbound import audit, schemes
from mdbound.audit.problems.positions import position_problems
from mdbound.errors import AuditError, InvalidSettingError


def filled(name: str, count: int = 2) -> dict[str, Any]:
    scheme = schemes.get(name)
    problems = position_problems(count, scheme.sampling)
    table = audit.battery_table(problems)
    for problem, entry in zip(problems, table["problems"], strict=True):
        rows = ([float(mass) for mass in row] for row in (problem.target, problem.drafts[0]))
        target, draft = rows
        for branch in entry["branches"]:
            law = scheme.output_law(target, draft, branch["drafted"])
            branch["output"] = {str(token): mass for token, mass in law.items()}
    return table


def written_table(folder: Path, table: Any) -> Path:
    file = folder / "table.json"
    file.write_text(json.dumps(table), encoding="utf-8")
    return file


@pytest.mark.parametrize("name", ["k_seq", "greedy"])
def test_a_table_of_a_right_rule_passes(tmp_path: Path, name: str) -> None:
    report = audit.table(written_table(tmp_path, filled(name)))
    assert report.lossless, str(report)
    assert len(report.problems) == 14


def test_a_table_with_a_wrong_cell_fails(tmp_path: Path) -> None:
    table = filled("k_seq")
    law = table["problems"][3]["branches"][0]["output"]
    first, second, *_ = law
    law[first], law[second] = law[first] + 1e-6, law[second] - 1e-6
    report = audit.table(written_table(tmp_path, table))
    assert report.lossless is False
    assert report.witness is not None
    assert report.witness.problem == "ties in the ratio"
    # The table says nothing of other rows: the witness has those of the file.
    assert report.witness.given["target"] == table["problems"][3]["target"]
    assert report.witness.given["drafts"][0] == table["problems"][3]["drafts"][0]
    assert report.witness.given["num_drafts"] == 2


def change(path: tuple[Any, ...], value: Any) -> Callable[[dict[str, Any]], Any]:
    def changed(table: dict[str, Any]) -> Any:
        inner: Any = table
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        return table

    return changed


ONE = ("problems", 0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda _: [], "no list `problems`"),
        (lambda _: {"problems": []}, "no list `problems`"),
        (change(ONE, 3), "no object"),
        (change((*ONE, "sampling"), "often"), "`sampling` is 'often'"),
        (change((*ONE, "drafts"), []), "1 to 8 rows"),
        (change((*ONE, "drafts"), [["1/2", "1/2"]]), "another number of tokens"),
        (change((*ONE, "target"), ["1/2", "1/4", "1/2"]), "sums to 5/4"),
        (change((*ONE, "target"), ["x", "1/4", "1/2"]), "Invalid literal"),
        (change((*ONE, "target"), [1e400, 0, 0]), "not finite"),
        (change((*ONE, "target"), ["-1", "1", "1"]), "give probabilities"),
        (change((*ONE, "branches"), None), "`branches` is no list"),
        (change((*ONE, "branches", 0), {"drafted": "0 1"}), "no list `drafted`"),
        (change((*ONE, "branches", 0, "output"), None), "lacks the law of the output"),
        (change((*ONE, "branches", 0, "output"), {"a": 1}), "keys that are no tokens"),
    ],
)
def test_tables_that_cannot_be_read_say_why(
    tmp_path: Path, changed: Callable[[Any], Any], message: str
) -> None:
    with pytest.raises(AuditError, match=message):
        audit.table(written_table(tmp_path, changed(filled("nss"))))


def test_what_is_no_file_of_tables(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="No such file"):
        audit.table(tmp_path / "none.json")
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(AuditError, match="no JSON"):
        audit.table(deep)


Output = Callable[[Any, Any, list[int], np.random.Generator], int]


def right(p: Any, q: Any, drafted: list[int], rng: np.random.Generator) -> int:
    x = drafted[0]
    if rng.random() * q[x] <= p[x]:
        return x
    rest = np.maximum(p - q, 0.0)
    return int(rng.choice(len(p), p=rest / rest.sum()))


def generous(p: Any, q: Any, drafted: list[int], rng: np.random.Generator) -> int:
    return drafted[0] if rng.random() < 0.15 else right(p, q, drafted, rng)


def sharpened(p: Any, q: Any, drafted: list[int], rng: np.random.Generator) -> int:
    sharp = p**1.3 / (p**1.3).sum()
    return right(sharp, q, drafted, rng)


def write_trace(
    file: Path, output: Output, lines: int, *, recorded: float = 1.0, kept: int = 6
) -> Path:
    """A trace over eight tokens, of which `kept` are listed; the draft is recorded as a power."""
    rng = np.random.default_rng(0)
    with file.open("w", encoding="utf-8") as stream:
        for _ in range(lines):
            logits = rng.normal(0.0, 1.5, 8)
            p, q = (np.exp(x) / np.exp(x).sum() for x in (logits, logits + rng.normal(0, 1, 8)))
            drafted = rng.choice(8, size=1, p=q).tolist()
            shown = q**recorded / (q**recorded).sum()
            line = {
                "target": sparse(p, kept),
                "draft": sparse(shown, kept),
                "drafted": drafted,
                "output": output(p, q, drafted, rng),
            }
            stream.write(json.dumps(line) + "\n")
    return file


def sparse(row: Any, kept: int) -> dict[str, float]:
    listed = np.argsort(-row)[:kept]
    found = {str(token): float(row[token]) for token in listed}
    return found if kept == 8 else {**found, "rest": float(1 - sum(found.values()))}


@pytest.mark.parametrize("kept", [8, 5])
def test_a_trace_of_a_right_rule_is_not_accused(tmp_path: Path, kept: int) -> None:
    report = audit.trace(write_trace(tmp_path / "t.jsonl", right, 3000, kept=kept))
    assert report.lossless is None
    assert "give 20,000 lines" in report.statement
    assert "raw rows" not in report.statement
    (result,) = report.problems
    assert result.bound is not None
    assert result.accepted <= result.bound + 0.05


@pytest.mark.parametrize("kept", [8, 5])
@pytest.mark.parametrize("wrong", [generous, sharpened])
def test_traces_of_wrong_rules_are_accused(tmp_path: Path, wrong: Output, kept: int) -> None:
    report = audit.trace(write_trace(tmp_path / "t.jsonl", wrong, 6000, kept=kept))
    assert report.lossless is False, report.statement
    assert report.witness is not None


def test_raw_rows_recorded_for_warped_ones_are_named(tmp_path: Path) -> None:
    report = audit.trace(write_trace(tmp_path / "t.jsonl", right, 3000, recorded=0.5))
    assert "were raw rows recorded for warped ones?" in report.statement


LINE = {"target": {"0": 0.5, "1": 0.5}, "draft": {"0": 1.0}, "drafted": [0], "output": 1}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"output": 2}, "the output has target probability 0"),
        ({"drafted": [1]}, "drafted token 1 has draft probability 0"),
    ],
)
def test_what_no_run_can_show(tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(json.dumps(LINE | changed), encoding="utf-8")
    report = audit.trace(file)
    assert report.lossless is False
    assert report.witness is not None
    assert reason in report.witness.reason


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: no JSON"),
        ("[1]", "exactly target, draft, drafted and output"),
        (json.dumps({**LINE, "extra": 1}), "exactly target"),
        (json.dumps(LINE | {"target": {}}), "target is no row"),
        (json.dumps(LINE | {"target": {"0": 0.5}, "output": 0}), ""),
        (json.dumps(LINE | {"target": {"0": 0.5, "rest": 0.1}}), "sums to 0.6"),
        (json.dumps(LINE | {"target": {"0": 1.5}}), "give a probability"),
        (json.dumps(LINE | {"target": {"0": None}}), "give a number"),
        (json.dumps(LINE | {"target": {"a": 1.0}}), "the key 'a'"),
        (json.dumps(LINE | {"draft": {"-1": 1.0}}), "the key '-1'"),
        (json.dumps(LINE | {"drafted": []}), "drafted is"),
        (json.dumps(LINE | {"drafted": [True]}), "drafted is"),
        (json.dumps(LINE | {"output": "1"}), "output is '1'"),
        ('{"target": {"0": NaN}, "draft": {"0": 1}, "drafted": [0], "output": 0}', "NaN|nan"),
    ],
)
def test_lines_that_cannot_be_read_are_named(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(line + "\n", encoding="utf-8")
    if not message:
        assert audit.trace(file).lossless is None
        return
    with pytest.raises(AuditError, match=message):
        audit.trace(file)


def test_traces_that_are_none(tmp_path: Path) -> None:
    empty = tmp_path / "t.jsonl"
    empty.touch()
    with pytest.raises(AuditError, match="holds no lines"):
        audit.trace(empty)
    with pytest.raises(AuditError, match="No such file"):
        audit.trace(tmp_path / "none.jsonl")
    empty.write_bytes(b"\xff\xfe")
    with pytest.raises(AuditError, match="no UTF-8"):
        audit.trace(empty)
    with pytest.raises(InvalidSettingError, match="did you mean"):
        audit.trace(empty, "with_replacemen")
