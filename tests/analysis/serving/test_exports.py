"""Exports, each read as the engine reads it: parsed by rules of its own, then used."""

from __future__ import annotations

import itertools
import json
import shlex
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound import paths, trees
from mdbound.analysis.paths.path_results import open_paths
from mdbound.analysis.paths.path_setting import PathGrid, PathSetting
from mdbound.analysis.paths.path_tables import per_call_means
from mdbound.analysis.paths.run_paths import run_on_capture
from mdbound.analysis.serving.acceptance_rates import AcceptanceRates, acceptance_rates
from mdbound.analysis.serving.engines import eagle_choices, engine_text, sglang_tree
from mdbound.analysis.serving.simulator_trace import simulator_lines
from mdbound.analysis.solving.results import Results
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.bounds import Warpers
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache import CaptureSettings, LogitsCache, capture

pytest.importorskip("torch")
GRID = PathGrid(lengths=(1, 3), schemes=("single_draft", "block", "joint", "gbv"))
BLOCK = {"scheme": "block", "draft_length": 3}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> LogitsCache:
    folder = tmp_path_factory.mktemp("answers")
    prompts = folder / "prompts.jsonl"
    texts = [f"Say why {thing} is blue." for thing in ("sky", "sea", "ice", "ink")]
    prompts.write_text("\n".join(json.dumps({"prompt": text}) for text in texts))
    capture(
        CaptureSettings(
            target="tiny:target",
            drafts=("tiny:draft",),
            text=(str(prompts),),
            out=folder / "cache",
            mode="generate",
            max_new_tokens=20,
            shard_rows=30,
            batch_size=2,
            device="cpu",
        )
    )
    return LogitsCache.open(folder / "cache")


@pytest.fixture(scope="module")
def results(answers: LogitsCache, tmp_path_factory: pytest.TempPathFactory) -> Results:
    out = tmp_path_factory.mktemp("paths") / "p.parquet"
    return open_paths(run_on_capture(answers, GRID, out).path)


def conditional(rates: list[float]) -> list[float]:
    """Rates of each token given those before, as engines turn marginal ones into."""
    before = [1.0, *rates[:-1]]
    return [rate / last if last else 0.0 for rate, last in zip(rates, before, strict=True)]


def test_rates_are_those_of_calls(results: Results) -> None:
    found = acceptance_rates(results, BLOCK)
    rows = results.frame.filter(scheme="block", draft_length=3).collect()
    calls = rows["calls"].sum()
    expected = [
        sum(c * t[l] for c, t in rows.select("calls", "tail_calls").rows()) / calls
        for l in range(3)
    ]
    assert found.rates == pytest.approx(expected, abs=1e-12)
    means = per_call_means(results, Bootstrap(resamples=100))
    pooled = means.filter(scheme="block", draft_length=3, task=means["task"][0])["mean"].item()
    assert found.accept_length == pytest.approx(pooled, abs=1e-9)
    positions = rows.select(pl.col("tail_positions").list.get(0).mean()).item()
    assert found.rates[0] != pytest.approx(positions, abs=1e-3)  # another mean


def vllm_accepts(text: str) -> dict:
    """What vLLM's speculative configuration demands of synthetic rates."""
    values = json.loads(text)
    rates = values["synthetic_acceptance_rates"]
    assert values["rejection_sample_method"] == "synthetic"
    assert len(rates) == values["num_speculative_tokens"]
    assert all(isinstance(rate, float) and 0.0 <= rate <= 1.0 for rate in rates)
    assert all(later <= rate for rate, later in itertools.pairwise(rates))
    return values


def test_vllm(results: Results) -> None:
    rates = acceptance_rates(results, BLOCK)
    values = vllm_accepts(engine_text("vllm", rates))
    steps = conditional(values["synthetic_acceptance_rates"])
    assert 1.0 + sum(np.cumprod(steps)) == pytest.approx(rates.accept_length, abs=1e-5)


def test_llama_cpp(results: Results) -> None:
    rates = acceptance_rates(results, BLOCK)
    words = shlex.split(engine_text("llama-cpp", rates))
    arguments = dict(zip(words[::2], words[1::2], strict=True))
    listed = [float(each) for each in arguments["--spec-synthetic-acceptance-rates"].split(",")]
    assert len(listed) == int(arguments["--spec-draft-n-max"]) == 3
    assert listed == sorted(listed, reverse=True)
    assert listed == pytest.approx(rates.rates, abs=1e-5)


def test_sglang(results: Results) -> None:
    rates = acceptance_rates(results, BLOCK)
    first, second = engine_text("sglang", rates).splitlines()
    variables = dict(word.split("=") for word in shlex.split(first)[1:])
    length = float(variables["SGLANG_SIMULATE_ACC_LEN"])
    assert 1.0 <= length <= 4.0
    assert length == pytest.approx(rates.accept_length, abs=1e-5)
    assert variables["SGLANG_SIMULATE_ACC_METHOD"] == "match-expected"
    words = shlex.split(second.removeprefix("# "))
    arguments = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    assert arguments["--speculative-num-steps"] == 3
    assert arguments["--speculative-num-draft-tokens"] == 4


def test_rounding_keeps_rates_in_order() -> None:
    rates = AcceptanceRates((0.3333333, 0.33333329, 0.1), 1.0, {})
    vllm_accepts(engine_text("vllm", rates))


def test_what_is_not_one_setting_is_refused(results: Results) -> None:
    with pytest.raises(InvalidSettingError, match="holds several of `scheme` block"):
        acceptance_rates(results, {"scheme": "block"})
    with pytest.raises(InvalidSettingError, match="holds no calls of `scheme` joint"):
        acceptance_rates(results, {"scheme": "joint", "draft_length": 3})
    with pytest.raises(InvalidSettingError, match="did you mean 'vllm'"):
        engine_text("vlm", AcceptanceRates((0.5,), 1.0, {}))


SETTING = PathSetting("tiny-draft", Warpers(), 1.0)


def test_simulator_traces_have_the_exact_law(answers: LogitsCache, results: Results) -> None:
    """A length for a call at every token, as `Request.from_json` of the simulator reads them."""
    lines = [json.loads(line) for line in simulator_lines(answers, SETTING, "block", 3)]
    rows = results.frame.filter(scheme="block", draft_length=3).collect()
    assert [line["id"] for line in lines] == rows["doc_id"].to_list()
    for line, tokens in zip(lines, rows["tokens"], strict=True):
        lengths = line["acc_eagle"]["acc_len"]
        assert len(lengths) == len(line["generated_token_ids"]) == tokens
        assert line["prompt_token_ids"]
        assert all(1 <= length <= min(4, tokens - at) for at, length in enumerate(lengths))
    draws = [
        [json.loads(line)["acc_eagle"]["acc_len"] for line in found]
        for found in (simulator_lines(answers, SETTING, "block", 3, seed) for seed in range(200))
    ]
    first = np.array([each[0] for each in draws], dtype=float) - 1.0
    place = rows["doc_id"].to_list().index(lines[0]["id"])
    tail = np.array(rows["tail_positions"].to_list()[place])
    windows = rows["positions"][place]
    mean = first[:, :windows].mean()
    assert mean == pytest.approx(tail.sum(), abs=4.5 * first[:, :windows].mean(1).std() / 14)


def test_simulator_refuses_rules_without_calls(answers: LogitsCache) -> None:
    with pytest.raises(InvalidSettingError, match="has no calls"):
        next(simulator_lines(answers, SETTING, "joint", 3))
    assert not paths.path_rule("joint").stateless


def eagle_buffers(choices: list[list[int]]) -> tuple[np.ndarray, list[int]]:
    """Tree mask and positions of EAGLE's `choices`, which takes parents before children."""
    size = len(choices) + 1
    mask = np.eye(size, dtype=bool)
    mask[:, 0] = True
    depths = [0]
    for number, path in enumerate(choices, start=1):
        depths.append(len(path))
        for depth in range(1, len(path)):
            ancestor = choices.index(path[:depth]) + 1
            assert ancestor < number
            mask[number, ancestor] = True
    return mask, depths


@pytest.mark.parametrize("name", ["eagle_sparse_25", "2x4", "4x3"])
def test_eagle_and_sglang_trees(name: str) -> None:
    topology = trees.topology(name)
    choices = json.loads(eagle_choices(topology))
    mask, depths = eagle_buffers(choices)
    assert len(choices) == topology.size
    assert max(depths) == topology.depth
    assert (mask.sum(axis=1) == np.array(depths) + 1).all()
    words = shlex.split(sglang_tree(topology))
    arguments = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    assert arguments["--speculative-num-draft-tokens"] == topology.size + 1
    assert arguments["--speculative-num-steps"] == topology.depth
    assert arguments["--speculative-eagle-topk"] == topology.num_children(())


def test_a_choice_without_its_parent_is_found() -> None:
    with pytest.raises(ValueError, match="is not in list"):
        eagle_buffers([[0, 0], [1]])


def test_the_command_writes_and_prints(
    answers: LogitsCache,
    results: Results,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tests.cli.test_verify import mdbound

    arguments = ("export", "vllm", results.path, "--length", "3")
    assert mdbound(monkeypatch, *arguments) == 0
    vllm_accepts(capsys.readouterr().out)
    out = tmp_path / "trace.jsonl"
    arguments = ("export", "simulator", answers.path, "--length", "3", "--out", out)
    assert mdbound(monkeypatch, *arguments) == 0
    assert len(out.read_text().splitlines()) == 4
    assert mdbound(monkeypatch, "export", "tgi", results.path, "--length", "3") == 2
