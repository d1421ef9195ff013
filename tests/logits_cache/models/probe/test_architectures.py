"""Whatever an architecture does with batches, positions and caches, its own logits are recorded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mdbound.bounds import Warpers
from mdbound.errors import ModelError
from mdbound.logits_cache.capturing.generate import AnswerSampling, answer_prompts
from mdbound.logits_cache.capturing.score import score_passages
from mdbound.logits_cache.models.gguf.architectures import ARCHITECTURES
from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.models.pairing import plan_models
from mdbound.logits_cache.models.weights import load_target
from mdbound.logits_cache.text.passages import Passage
from tests.logits_cache.models.small_architectures import (
    ACAUSAL,
    CAUSAL,
    ROPE_SWITCHES,
    saved,
)

VOCAB_SIZE = 258
RAGGED = [(4, 20), (1, 9), (11, 13), (7, 30), (0, 2)]  # first recorded row, tokens
LENGTHS = [5, 21, 9]
"""Of prompts. Rope switches of the models lie at 16 tokens, windows at 6."""

PLAIN = {"batches": "any", "positions": "counted from 0", "decoding": "key-value cache"}
ALONE, OWN, WHOLE = "one sequence at a time", "the model's own", "whole sequences"
EXPECTED: Mapping[str, Mapping[str, str]] = {
    "bart": {"batches": ALONE, "positions": "none"},
    "bloom": {"positions": "none"},
    "camembert": {"positions": OWN, "decoding": WHOLE},
    "falcon_mamba": {"positions": "none", "decoding": WHOLE},
    "mamba": {"positions": "none", "decoding": WHOLE},
    "mamba2": {"positions": "none", "decoding": WHOLE},
    "mpt": {"positions": "none"},
    "nemotron_h": {"decoding": WHOLE},
    "openai-gpt": {"decoding": WHOLE},
    "recurrent_gemma": {"batches": ALONE, "decoding": WHOLE},
    "roberta": {"positions": OWN, "decoding": WHOLE},
    "rwkv": {"batches": ALONE, "positions": "none", "decoding": WHOLE},
    "xlm-roberta": {"positions": OWN, "decoding": WHOLE},
    "zamba2": {"decoding": WHOLE},
    **{name: {"batches": "any, up to 16 tokens", "decoding": "key-value cache, up to 16 tokens"}
       for name in ROPE_SWITCHES},
}  # fmt: skip
"""What is found besides PLAIN."""

MODELS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    **{name: (name, settings) for name, settings in CAUSAL.items()},
    **ROPE_SWITCHES,
}


def load(folder: Path, model_type: str, settings: Mapping[str, Any]) -> LanguageModel:
    source = saved(folder, model_type, settings)
    planned = plan_models(source, (), (), device="cpu", dtype="float32")
    return load_target(planned, VOCAB_SIZE)


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    torch.set_num_threads(1)
    model_type, settings = MODELS[request.param]
    return request.param, load(tmp_path_factory.mktemp("models"), model_type, settings)


def passages() -> list[Passage]:
    rng = np.random.default_rng(5)
    return [
        Passage(number, "t", 0, first, tuple(rng.integers(2, 256, size).tolist()))
        for number, (first, size) in enumerate(RAGGED)
    ]


def alone(model: LanguageModel, tokens: tuple[int, ...]) -> np.ndarray:
    """The network on nothing but one sequence's tokens, after forgetting the ones before."""
    with torch.inference_mode():
        model.network(torch.tensor([[7]]))
        logits: np.ndarray = model.network(torch.tensor([tokens])).logits[0, :, :VOCAB_SIZE].numpy()
    return logits


def test_what_is_found(model: tuple[str, LanguageModel]) -> None:
    name, loaded = model
    found = loaded.findings
    assert found.consequences() == {**PLAIN, **EXPECTED.get(name, {})}
    assert loaded.record.probe == found
    assert found.largest_rounding < 1e-4, "rounding so large that the tolerance is no gap"
    faults = [size for size in found.disagreements.values() if size is not None]
    assert all(size > 5e-3 for size in faults), "a fault so small that the tolerance is no gap"


def test_recorded_logits_are_those_of_each_sequence_alone(
    model: tuple[str, LanguageModel],
) -> None:
    loaded = model[1]
    scored = list(score_passages(loaded, passages()))
    assert [item.doc_id for item, _ in scored] == [0, 1, 2, 3, 4]
    for item, logits in scored:
        expected = alone(loaded, item.token_ids[:-1])[item.first_row :]
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-3)


def test_answers_are_the_likeliest_tokens_of_each_sequence_alone(
    model: tuple[str, LanguageModel],
) -> None:
    loaded = model[1]
    rng = np.random.default_rng(6)
    tokens = [tuple(rng.integers(2, 256, size).tolist()) for size in LENGTHS]
    prompts = [Passage(i, "t", 0, len(ids) - 1, ids) for i, ids in enumerate(tokens)]
    answers = answer_prompts(loaded, prompts, AnswerSampling(Warpers(0.0), 4, 0))
    for prompt, answer in zip(prompts, answers, strict=True):
        sequence = prompt.token_ids
        while len(sequence) < len(answer.token_ids):
            last = alone(loaded, sequence)[-1]
            chosen = answer.token_ids[len(sequence)]
            assert last.max() - last[chosen] < 1e-3
            sequence = (*sequence, chosen)


@pytest.mark.parametrize(
    ("name", "supposed"),
    [
        ("bart", {"batch_length": None}),
        ("rwkv", {"batch_length": None}),
        ("recurrent_gemma", {"batch_length": None}),
        ("phi3, longrope", {"batch_length": None}),
        ("llama, dynamic rope", {"batch_length": None}),
        ("roberta", {"position_ids": "counted"}),
        ("xlm-roberta", {"position_ids": "counted"}),
        ("gpt2", {"position_ids": "own"}),
    ],
)
def test_what_would_be_recorded_if_it_were_supposed(
    name: str, supposed: dict[str, Any], tmp_path: Path
) -> None:
    loaded = load(tmp_path, *MODELS[name])
    wrong = replace(loaded, findings=replace(loaded.findings, **supposed))
    largest = max(
        np.abs(logits - alone(loaded, item.token_ids[:-1])[item.first_row :]).max()
        for item, logits in score_passages(wrong, passages())
    )
    assert largest > 0.05


def test_dynamic_rope_forgets_the_sequences_before(tmp_path: Path) -> None:
    loaded = load(tmp_path, *MODELS["llama, dynamic rope"])
    tokens = tuple(np.random.default_rng(1).integers(2, 256, 31).tolist())
    # The library forgets a longer sequence when one of less than 16 tokens comes, not at 16.
    at_switch = [Passage(0, "t", 0, 0, tokens), Passage(1, "t", 0, 0, tokens[:17])]
    (_, _), (_, logits) = score_passages(loaded, at_switch)
    np.testing.assert_allclose(logits, alone(loaded, tokens[:16]), rtol=0, atol=1e-3)
    with torch.inference_mode():
        loaded.network(torch.tensor([tokens]))
        remembering = loaded.network(torch.tensor([tokens[:16]])).logits[0, :, :VOCAB_SIZE].numpy()
    assert np.abs(logits - remembering).max() > 0.05


@pytest.mark.parametrize("model_type", ACAUSAL)
def test_models_that_see_later_tokens_are_refused_by_name(model_type: str, tmp_path: Path) -> None:
    message = rf"model '.*{model_type}' \(\w+\) is not causal: its logits change by \d"
    with pytest.raises(ModelError, match=message):
        load(tmp_path, model_type, ACAUSAL[model_type])


def test_the_page_on_models_says_what_is_found() -> None:
    page = Path("docs/models.md").read_text(encoding="utf-8")
    section = page.partition("## Architectures")[2].partition("## Files")[0]
    table = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:1] == "|"][2:]
    said = {name: dict(zip(PLAIN, cells, strict=True)) for name, *cells in table}
    assert said == {name: {**PLAIN, **found} for name, found in EXPECTED.items()}
    healthy, refused = section.split("| architecture |")[0], section.split("refused:")[1]
    assert set(re.findall("`([^`]+)`", healthy)) == set(MODELS) - set(EXPECTED)
    assert set(re.findall("`([^`]+)`", refused)) == set(ACAUSAL)
    files = page.partition("## Files")[2]
    assert {f"`{name}`" for name in ARCHITECTURES} <= set(re.findall("`[^`]+`", files))
