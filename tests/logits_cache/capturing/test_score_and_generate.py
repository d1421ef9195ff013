from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mdbound.bounds import Warpers
from mdbound.errors import InvalidDistributionError
from mdbound.logits_cache.capturing import score
from mdbound.logits_cache.capturing.generate import (
    AnswerSampling,
    answer_prompts,
    sample_tokens,
)
from mdbound.logits_cache.capturing.score import score_passages
from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.models.pairing import plan_models
from mdbound.logits_cache.models.weights import load_target
from mdbound.logits_cache.text.passages import Passage
from tests.logits_cache.small_models import TARGET_WIDTH, VOCAB_SIZE, byte_tokenizer, save_model

RAGGED = [(4, 20), (1, 9), (12, 13), (7, 30), (1, 2)]  # first recorded row, tokens


@pytest.fixture(scope="module")
def model(pair: tuple[str, str]) -> LanguageModel:
    return load(pair[0])


def load(source: str) -> LanguageModel:
    return load_target(plan_models(source, (), (), device="cpu", dtype="float32"), VOCAB_SIZE)


def passages() -> list[Passage]:
    rng = np.random.default_rng(5)
    return [
        Passage(number, "t", 0, first, tuple(rng.integers(0, 256, size).tolist()))
        for number, (first, size) in enumerate(RAGGED)
    ]


def prompt_passages() -> list[Passage]:
    texts = ["Why?", "A much longer prompt than the other ones", "x", "12 + 30 ="]
    tokens = [tuple(byte_tokenizer()(text).input_ids) for text in texts]
    return [Passage(i, "t", 0, len(ids) - 1, ids) for i, ids in enumerate(tokens)]


def direct_logits(model: LanguageModel, item: Passage) -> np.ndarray:
    """One sequence, no padding, no library code of ours."""
    with torch.inference_mode():
        logits = model.network(torch.tensor([item.token_ids]), use_cache=False).logits[0]
    return logits[item.first_row : -1, :VOCAB_SIZE].numpy()


def test_batched_equals_unbatched(model: LanguageModel) -> None:
    scored = list(score_passages(model, passages()))
    assert [item.doc_id for item, _ in scored] == [0, 1, 2, 3, 4]
    for item, logits in scored:
        assert logits.shape == (item.rows, VOCAB_SIZE)
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, direct_logits(model, item), rtol=0, atol=2e-5)


def test_learned_positions_are_counted_from_the_first_real_token(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    # GPT-2 adds absolute position vectors: padding on the left would shift them.
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(2)
    config = GPT2Config(
        vocab_size=VOCAB_SIZE, n_embd=32, n_layer=2, n_head=2, n_positions=64,
        initializer_range=0.3, bos_token_id=256, eos_token_id=257,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("gpt2")
    gpt2 = load(save_model(folder, GPT2LMHeadModel(config), byte_tokenizer()))
    for item, logits in score_passages(gpt2, passages()):
        np.testing.assert_allclose(logits, direct_logits(gpt2, item), rtol=0, atol=2e-5)


def test_wrong_positions_would_be_noticed(model: LanguageModel) -> None:
    # The tolerance above is only worth something if a shifted context is far outside it.
    item = passages()[0]
    shifted = Passage(0, "t", 0, item.first_row, item.token_ids[1:2] + item.token_ids[1:])
    assert np.abs(direct_logits(model, item) - direct_logits(model, shifted)).max() > 1e-2


def test_large_batches_are_split_within_the_memory_limit(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_of_two = 2 * 16 * 4 * model.record.logits_width
    monkeypatch.setattr(score, "FORWARD_BYTES", rows_of_two)
    groups = list(score._split(model, passages()))
    assert [len(group) for group in groups] == [2, 1, 1, 1]
    assert [item.doc_id for item, _ in score_passages(model, passages())] == [0, 1, 2, 3, 4]


def test_answers_do_not_depend_on_the_batch(model: LanguageModel) -> None:
    sampling = AnswerSampling(Warpers(0.8), max_new_tokens=12, seed=11)
    together = answer_prompts(model, prompt_passages(), sampling)
    alone = [answer_prompts(model, [prompt], sampling)[0] for prompt in prompt_passages()]
    assert together == alone
    assert len({item.token_ids[item.first_row + 1 :] for item in together}) == 4


def test_temperature_zero_equals_greedy_generation(model: LanguageModel) -> None:
    answers = answer_prompts(model, prompt_passages(), AnswerSampling(Warpers(0.0), 10, 0))
    for prompt, answer in zip(prompt_passages(), answers, strict=True):
        expected = model.network.generate(
            torch.tensor([prompt.token_ids]), max_new_tokens=10, do_sample=False, pad_token_id=0,
            suppress_tokens=list(range(VOCAB_SIZE, TARGET_WIDTH)),  # padding beyond the tokenizer
        )  # fmt: skip
        assert list(answer.token_ids) == expected[0].tolist()


def test_answers_stop_at_an_end_token_and_keep_it(model: LanguageModel) -> None:
    free = answer_prompts(model, prompt_passages(), AnswerSampling(Warpers(0.7), 8, 1))
    end = free[0].token_ids[free[0].first_row + 3]  # the third token of the first answer
    ending = replace(model, end_tokens=frozenset({end}))
    stopped = answer_prompts(ending, prompt_passages(), AnswerSampling(Warpers(0.7), 8, 1))
    for item, whole in zip(stopped, free, strict=True):
        answer, full = (x.token_ids[x.first_row + 1 :] for x in (item, whole))
        assert answer == full[: full.index(end) + 1 if end in full else None]
    assert stopped[0].rows <= 3


def test_seed_changes_the_answers(model: LanguageModel) -> None:
    first = answer_prompts(model, prompt_passages(), AnswerSampling(Warpers(1.0), 8, 1))
    second = answer_prompts(model, prompt_passages(), AnswerSampling(Warpers(1.0), 8, 2))
    assert first != second


def test_sampled_tokens_follow_the_distribution() -> None:
    logits = np.log(np.array([0.5, 0.0625, 0.25, 0.1875], dtype=np.float32))
    rng = np.random.default_rng(0)
    for warpers, expected in (
        (Warpers(), [0.5, 0.0625, 0.25, 0.1875]),
        (Warpers(0.5), np.exp(2 * logits) / np.exp(2 * logits).sum()),
        (Warpers(top_k=2), [2 / 3, 0.0, 1 / 3, 0.0]),
        (Warpers(top_p=0.8), [0.5 / 0.9375, 0.0, 0.25 / 0.9375, 0.1875 / 0.9375]),
        (Warpers(min_p=0.45), [2 / 3, 0.0, 1 / 3, 0.0]),
        (Warpers(2.0, top_p=0.99, min_p=0.4), np.array([0.5, 0, 0.25, 0.1875]) ** 0.5 / 1.640132),
    ):
        drawn = sample_tokens(np.tile(logits, (20_000, 1)), warpers, [rng] * 20_000)
        shares = np.bincount(drawn, minlength=4) / 20_000
        np.testing.assert_allclose(shares, expected, atol=4 * 0.5 / 20_000**0.5)
        assert ((shares > 0.0) == (np.asarray(expected) > 0.0)).all()


def test_draws_are_those_of_the_running_sum(model: LanguageModel) -> None:
    """Written out for one row: the first token whose running mass is above the uniform number."""
    logits = np.random.default_rng(3).normal(0.0, 2.0, (200, 50)).astype(np.float32)
    drawn = sample_tokens(logits, Warpers(0.7), [np.random.default_rng(k) for k in range(200)])
    for row, token, seed in zip(logits.astype(float), drawn, range(200), strict=True):
        masses = [float(np.exp(logit / 0.7)) for logit in row]
        uniform = np.random.default_rng(seed).random() * sum(masses)
        assert sum(masses[:token]) <= uniform < sum(masses[: token + 1])


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_drawn_where_the_logits_are(model: LanguageModel, temperature: float) -> None:
    """The road that a GPU takes, forced on the CPU."""
    sampling = AnswerSampling(Warpers(temperature), 12, 11)
    expected = answer_prompts(model, prompt_passages(), sampling)
    assert answer_prompts(model, prompt_passages(), sampling, on_device=True) == expected


def test_draws_on_a_device_are_those_of_arrays() -> None:
    logits = np.random.default_rng(1).normal(0.0, 4.0, (500, 60)).astype(np.float32)
    logits[:, 40:] = -np.inf
    generators = [[np.random.default_rng(k) for k in range(500)] for _ in range(2)]
    warpers = Warpers(0.7, top_k=30, top_p=0.95, min_p=0.001)
    expected = sample_tokens(logits, warpers, generators[0])
    assert sample_tokens(torch.tensor(logits), warpers, generators[1]) == expected

    class Last:
        def random(self) -> float:
            return 1.0

    last = [Last()]
    for one in (torch.tensor(logits[:1]), logits[:1]):
        assert sample_tokens(one, Warpers(0.7), last)[0] < 40  # type: ignore[arg-type]


def test_masked_tokens_are_never_drawn() -> None:
    class Last:
        def random(self) -> float:
            return 1.0  # beyond what a generator gives, to stand in for rounding

    logits = np.array([[0.0, 1.0, -np.inf, -np.inf]], dtype=np.float32)
    assert sample_tokens(logits, Warpers(), [Last()]) == [1]  # type: ignore[list-item]


def test_broken_weights_are_named(pair: tuple[str, str]) -> None:
    broken = load(pair[0])
    with torch.no_grad():
        broken.network.lm_head.weight[3, 0] = float("nan")
    with pytest.raises(InvalidDistributionError, match=r"'target'.*document 0, position 3"):
        answer_prompts(broken, prompt_passages()[:1], AnswerSampling(Warpers(1.0), 4, 0))


def test_scores_taken_one_by_one_leave_gradients_on(model: LanguageModel) -> None:
    first, second = score_passages(model, passages()), score_passages(model, passages())
    for _ in zip(first, second, strict=True):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()
