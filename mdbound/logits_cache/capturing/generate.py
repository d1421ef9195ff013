"""The target's own answers, sampled per document so that batching cannot change them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mdbound.bounds import Warpers
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache.capturing.decoding import decoding_of
from mdbound.logits_cache.capturing.on_device import stays_on_device
from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.store.manifest import TARGET
from mdbound.logits_cache.store.shards import check_logits
from mdbound.logits_cache.text.passages import Passage

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class AnswerSampling:
    """How answers are sampled.

    Attributes:
        warpers: of the target's distribution; a temperature of 0 takes the most likely token.
        max_new_tokens: longest answer in tokens.
        seed: with the document's number, it seeds that document's own generator.

    Raises:
        InvalidSettingError: the warpers do more than the temperature, which answers are not
            sampled with.
    """

    warpers: Warpers
    max_new_tokens: int
    seed: int

    def __post_init__(self) -> None:
        if self.warpers != Warpers(self.warpers.temperature):
            raise InvalidSettingError(
                f"answers are sampled by temperature alone, not with {self.warpers}; finish the "
                "capture with the mdbound that began it"
            )


def answer_prompts(
    model: LanguageModel,
    prompts: Sequence[Passage],
    sampling: AnswerSampling,
    *,
    on_device: bool | None = None,
) -> list[Passage]:
    """Let the model answer each prompt, until an end token or `max_new_tokens`.

    Args:
        model: the target.
        prompts: what to answer.
        sampling: how.
        on_device: draw tokens where the logits are; None decides by the model's device, see
            `mdbound.logits_cache.capturing.on_device`.

    Returns:
        The prompts followed by their answers; an end token is part of its answer.

    Raises:
        InvalidDistributionError: the model's logits are NaN or infinite.
    """
    import torch

    longest = max(len(item.token_ids) for item in prompts) + sampling.max_new_tokens
    if len(prompts) > 1 and not model.findings.may_share_batch(longest):
        return [answer_prompts(model, [item], sampling, on_device=on_device)[0] for item in prompts]
    answers: list[list[int]] = [[] for _ in prompts]
    generators = [np.random.default_rng([sampling.seed, item.doc_id]) for item in prompts]
    doc_ids = np.array([item.doc_id for item in prompts], dtype=np.int64)
    lengths = np.array([len(item.token_ids) for item in prompts], dtype=np.int64)
    running = [True] * len(prompts)
    stays = stays_on_device(model.device) if on_device is None else on_device
    with torch.inference_mode():
        steps = decoding_of(model, [item.token_ids for item in prompts], longest)
        for step in range(sampling.max_new_tokens):
            last = steps.logits()  # (B, V)
            logits = last if stays else last.float().cpu().numpy()
            check_logits(TARGET, doc_ids, lengths - 1 + step, logits)
            if stays:
                tokens = sample_tokens(logits, sampling.warpers.temperature, generators)
            else:
                tokens = [
                    sample_token(row, sampling.warpers.temperature, generator)
                    for row, generator in zip(logits, generators, strict=True)
                ]
            for index, token in enumerate(tokens):
                if running[index]:
                    answers[index].append(token)
                    running[index] = token not in model.end_tokens
            if not any(running) or step + 1 == sampling.max_new_tokens:
                break
            steps.append(tokens)
    return [item.answered(answer) for item, answer in zip(prompts, answers, strict=True)]


def sample_token(
    logits: npt.NDArray[np.float32], temperature: float, generator: np.random.Generator
) -> int:
    """Draw a token from softmax(logits / temperature), logits of shape (V,).

    One uniform number is used whatever the temperature, so that generators stay in step.

    >>> sample_token(np.array([0.0, 3.0, 1.0], dtype=np.float32), 0.0, np.random.default_rng(0))
    1
    """
    uniform = generator.random()
    if temperature == 0:
        return int(logits.argmax())
    scaled = logits.astype(np.float64) / temperature
    cumulative = np.cumsum(np.exp(scaled - scaled.max()))
    drawn = np.searchsorted(cumulative, uniform * cumulative[-1], side="right")
    # Rounding may put the draw past the last token that has any probability.
    return int(min(drawn, np.flatnonzero(np.diff(cumulative, prepend=0.0))[-1]))


def sample_tokens(
    logits: torch.Tensor, temperature: float, generators: Sequence[np.random.Generator]
) -> list[int]:
    """As `sample_token` for rows of logits (B, V) on any device, with a generator each.

    >>> import torch
    >>> sample_tokens(torch.tensor([[0.0, 3.0, 1.0]]), 0.0, [np.random.default_rng(0)])
    [1]
    """
    import torch

    uniforms = [generator.random() for generator in generators]
    if temperature == 0:
        return [int(token) for token in logits.argmax(dim=1).tolist()]
    scaled = logits.double() / temperature
    cumulative = (scaled - scaled.amax(dim=1, keepdim=True)).exp().cumsum(dim=1)
    uniform = torch.tensor(uniforms, dtype=torch.float64, device=logits.device)[:, None]
    total = cumulative[:, -1:]
    drawn = torch.searchsorted(cumulative, uniform * total, right=True)[:, 0]
    last = (cumulative < total).sum(dim=1)  # the last token that has any probability
    return [int(token) for token in torch.minimum(drawn, last).tolist()]
