"""Speed-ups against fractions, and what costs and files of numbers are refused for."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest

from mdbound.analysis.paths.costs.speedup import expected_speedups
from mdbound.analysis.paths.costs.target_costs import TargetCosts, read_target_costs
from mdbound.analysis.paths.logprobs_file import read_logprobs
from mdbound.analysis.paths.path_results import PATHS_SCHEMA, open_paths, write_paths
from mdbound.analysis.paths.path_setting import PathGrid
from mdbound.analysis.solving.results import Provenance, Results
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.errors import CacheError, InvalidSettingError, TextSourceError

# p = (1/3, 2/3) and q = (2/3, 1/3) everywhere: E[tau] for L = 1..6.
ACCEPTED = {
    "single_draft": ("2/3", "10/9", "38/27", "130/81", "422/243", "1330/729"),
    "block": ("2/3", "11/9", "45/27", "166/81", "576/243", "1933/729"),
}
# And the speed-up at c = 1/10 and a flat cost of calls.
SPEEDUP = {
    "single_draft": ("50/33", "95/54", "50/27", "1055/567", "1330/729", "10295/5832"),
    "block": ("50/33", "50/27", "80/39", "1235/567", "182/81", "6655/2916"),
}
QUICK = Bootstrap(resamples=200)


def results(folder: Path, documents: int = 1) -> Results:
    rows = [
        {
            "doc_id": str(doc), "turn": 0, "task": "t", "scheme": scheme, "draft": "d",
            "draft_length": length, "tokens": 100, "finish_reason": "stop", "positions": 0,
            "starts": 100, "calls": 1.0, "call_tokens": 1.0 + float(Fraction(value)),
        }
        for doc in range(documents)
        for scheme, values in ACCEPTED.items()
        for length, value in enumerate(values, start=1)
    ]  # fmt: skip
    provenance = Provenance("0", "0", {}, [{"warpers": {}}])
    out = folder / "p.parquet"
    write_paths([pl.DataFrame(rows, schema=dict(PATHS_SCHEMA))], out, provenance)
    return open_paths(out)


def test_the_two_token_example(tmp_path: Path) -> None:
    found = {each.scheme: each for each in expected_speedups(results(tmp_path), [0.1])}
    for scheme, expected in SPEEDUP.items():
        exact = [float(Fraction(value)) for value in expected]
        assert found[scheme].speedup == pytest.approx(exact, rel=1e-14)
    # The best length depends on the rule.
    assert (found["single_draft"].best.length, found["block"].best.length) == (4, 6)
    # With one document there is no interval.
    assert found["block"].low[0] != found["block"].low[0]


def test_measured_costs_move_the_best_length(tmp_path: Path) -> None:
    file = tmp_path / "costs.csv"
    lines = ["tokens,cost,batch"]
    lines += [f"{tokens},{10 + 4 * (tokens - 1)},8" for tokens in range(1, 8)]
    file.write_text("\n".join(lines))
    found = expected_speedups(results(tmp_path, 3), [0.1], read_target_costs(file), QUICK)
    best = {each.scheme: each.best for each in found}
    assert best["block"].length == 1
    assert (best["block"].low, best["block"].high) == (1, 1)  # documents do not differ
    (block,) = (each for each in found if each.scheme == "block")
    assert block.speedup[1] == pytest.approx((1 + 11 / 9) / (0.2 + 1.8))
    assert block.low == pytest.approx(block.speedup)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tokens,price\n1,2", "columns tokens, cost"),
        ("tokens,cost\n1,2\n1,3", "line 3: 1 tokens stand twice"),
        ("tokens,cost\n1,cheap", "line 2: not all"),
        ("tokens,cost\n1,-2", "costs above 0"),
        ("tokens,cost\n", "holds no costs"),
        ("tokens,cost\n\ufffe", "line 2"),
    ],
)
def test_costs_that_are_refused(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "costs.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(TextSourceError, match=message):
        read_target_costs(file)


def test_a_cost_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingError, match="6 tokens in a batch of 2"):
        expected_speedups(
            results(tmp_path), [0.1], TargetCosts({2: dict.fromkeys(range(1, 6), 1.0)})
        )
    for cost in ([], [-0.1], [float("nan")]):
        with pytest.raises(InvalidSettingError, match="`draft_cost`"):
            expected_speedups(results(tmp_path), cost)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "line 2: no JSON"),
        ("[1]", "line 2: no object"),
        ("[" * 100_000, "line 2: no JSON"),
        ('{"target_logprobs": [-1]}', "line 2: draft_logprobs is missing"),
        ('{"target_logprobs": [-1], "draft_logprobs": [-1, -2]}', "1 target_logprobs and 2"),
        ('{"target_logprobs": [null], "draft_logprobs": [-1]}', "target_logprobs at position 0"),
        ('{"target_logprobs": [true], "draft_logprobs": [-1]}', "position 0 is True"),
        ('{"target_logprobs": [-1], "draft_logprobs": ["-1"]}', "draft_logprobs at position 0"),
        ('{"target_logprobs": [], "draft_logprobs": [], "finish_reason": "eos"}', "finish_reason"),
        ('{"id": "1", "target_logprobs": [-1], "draft_logprobs": [-1]}', "'1' stands twice"),
        ('{"logprobs": [], "target_logprobs": [-1], "draft_logprobs": [-1]}', "unknown key"),
    ],
)
def test_lines_that_are_refused(line: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "numbers.jsonl"
    good = '{"id": 1, "target_logprobs": [-1.0, -2.0], "draft_logprobs": [-1.0, null]}'
    file.write_text(f"{good}\n{line}\n")
    with pytest.raises(TextSourceError, match=message):
        list(read_logprobs(file))
    assert list(read_logprobs_first(file)) == [-1.0, float("-inf")]


def read_logprobs_first(file: Path) -> list[float]:
    values: list[float] = next(read_logprobs(file)).draft_logprob.tolist()
    return values


def test_other_files_and_settings(tmp_path: Path) -> None:
    with pytest.raises(TextSourceError, match="cannot be read"):
        list(read_logprobs(tmp_path / "none.jsonl"))
    with pytest.raises(CacheError, match="no such file"):
        open_paths(tmp_path / "none.parquet")
    for given, message in (
        ({"lengths": ()}, "`lengths` is empty"),
        ({"lengths": (0,)}, "`lengths` 0"),
        ({"lengths": (65,)}, "from 1 to 64"),
        ({"schemes": ("blok",)}, "did you mean 'block'"),
        ({"schemes": ()}, "`schemes` is empty"),
        ({"draft_temperatures": (-1.0,)}, "`draft_temperatures` -1.0"),
    ):
        with pytest.raises(InvalidSettingError, match=message):
            PathGrid(**given)
