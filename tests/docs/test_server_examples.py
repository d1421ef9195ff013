"""The scripts of `examples/` that read log-probabilities from servers, run on stand-ins.

The stand-ins answer as the engines' interfaces do and compute their numbers by a rule of their own,
so that an index that is off by one is seen.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mdbound.analysis.paths.logprobs_file import read_logprobs

EXAMPLES = Path(__file__).parents[2] / "examples"
VOCAB = 5
END = 4


def logprob(model: str, before: int, token: int) -> float:
    """What a stand-in gives a token after another: every pair and model has its own value."""
    weights = [1.0 + (7 * before + 3 * other + len(model)) % 5 for other in range(VOCAB)]
    return math.log(weights[token] / sum(weights))


def expected(model: str, whole: Sequence[int], prompt: int) -> list[float]:
    return [logprob(model, whole[i - 1], whole[i]) for i in range(prompt, len(whole))]


def run(name: str, fake: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    prompts, out = tmp_path / "prompts.txt", tmp_path / "logprobs.jsonl"
    prompts.write_text("ab\ncab\n", encoding="utf-8")
    options = ["--target", "big", "--draft", "mini", "--prompts", prompts, "--out", out]
    monkeypatch.setattr(sys, "argv", [name, *map(str, options)])
    script.main()
    assert len(list(read_logprobs(out))) == 2
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def tokens_of(prompt: str) -> list[int]:
    return [ord(letter) - ord("a") for letter in prompt]


ANSWER = [3, 0, 2, END]


def fake_vllm() -> ModuleType:
    module = ModuleType("vllm")

    class Engine:
        def __init__(self, model: str) -> None:
            self.model = model

        def generate(self, prompts: list[Any], sampling: Any) -> Iterator[Any]:
            for prompt in prompts:
                if isinstance(prompt, str):
                    assert sampling.temperature == 1.0
                    found = SimpleNamespace(token_ids=tuple(ANSWER), finish_reason="stop")
                    yield SimpleNamespace(prompt_token_ids=tokens_of(prompt), outputs=[found])
                    continue
                whole = prompt["prompt_token_ids"]
                assert sampling.prompt_logprobs == 0
                places: list[Any] = [None]  # nothing stands before the first token
                for before, token in itertools.pairwise(whole):
                    value = SimpleNamespace(logprob=logprob(self.model, before, token))
                    places.append({token: value})
                yield SimpleNamespace(prompt_logprobs=places)

    module.LLM = Engine  # type: ignore[attr-defined]
    module.SamplingParams = SimpleNamespace  # type: ignore[attr-defined]
    return module


def fake_llama_cpp() -> ModuleType:
    module = ModuleType("llama_cpp")

    class Llama:
        def __init__(self, model_path: str, logits_all: bool, **_: Any) -> None:
            assert logits_all
            self.model, self.seen = model_path, list[int]()
            self.scores = np.full((64, VOCAB), np.nan, dtype=np.float32)

        def tokenize(self, text: bytes) -> list[int]:
            return tokens_of(text.decode())

        def token_eos(self) -> int:
            return END

        def generate(self, tokens: list[int], **options: Any) -> Iterator[int]:
            assert tokens
            assert options["temp"] == 1.0
            yield from [*ANSWER, 0, 0]

        def reset(self) -> None:
            self.seen = []

        def eval(self, tokens: list[int]) -> None:
            self.seen += tokens
            for place, before in enumerate(self.seen):
                # Logits, not log-probabilities: the script has to normalise.
                self.scores[place] = [2.0 + logprob(self.model, before, t) for t in range(VOCAB)]

    module.Llama = Llama  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize(
    ("name", "fake"), [("logprobs_vllm", fake_vllm), ("logprobs_llama_cpp", fake_llama_cpp)]
)
def test_a_script_writes_what_both_models_give_the_answer(
    name: str, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = run(name, fake(), tmp_path, monkeypatch)
    for line, prompt in zip(lines, ("ab", "cab"), strict=True):
        whole = [*tokens_of(prompt), *ANSWER]
        assert line["finish_reason"] == "stop"
        for field, model in (("target_logprobs", "big"), ("draft_logprobs", "mini")):
            assert line[field] == pytest.approx(expected(model, whole, len(prompt)), abs=1e-6)
