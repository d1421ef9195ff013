"""The target's own answers, sampled per document so that batching cannot change them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mdbound.bounds import Warpers, distribution_from_logits
from mdbound.logits_cache.capturing.decoding import decoding_of
from mdbound.logits_cache.capturing.on_device import stays_on_device
from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.store.manifest import TARGET
from mdbound.logits_cache.store.shards import check_logits
from mdbound.logits_cache.text.follow_ups import FollowUps
from mdbound.logits_cache.text.passages import Passage


@dataclass(frozen=True)
class AnswerSampling:
    """How answers are sampled.

    Attributes:
        warpers: of the target's distribution; a temperature of 0 takes the most likely token.
        max_new_tokens: longest answer in tokens.
        seed: with the document's number, and that of a later turn, it seeds a generator for each
            answer.
    """

    warpers: Warpers
    max_new_tokens: int
    seed: int

    def generator(self, prompt: Passage) -> np.random.Generator:
        """The generator of a prompt's answer, whatever other prompts are answered beside it."""
        turn = [prompt.turn] if prompt.turn else []
        return np.random.default_rng([self.seed, prompt.doc_id, *turn])

    def most_tokens(self, prompt: Passage) -> int:
        """Tokens that a prompt's answer may have."""
        return min(self.max_new_tokens, prompt.most_rows or self.max_new_tokens)


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
    generators = [sampling.generator(item) for item in prompts]
    doc_ids = np.array([item.doc_id for item in prompts], dtype=np.int64)
    last_tokens = np.array(
        [item.offset + len(item.token_ids) - 1 for item in prompts], dtype=np.int64
    )
    most = [sampling.most_tokens(item) for item in prompts]
    running = [True] * len(prompts)
    stays = stays_on_device(model.device) if on_device is None else on_device
    with torch.inference_mode():
        steps = decoding_of(model, [item.token_ids for item in prompts], longest)
        for step in range(max(most)):
            last = steps.logits()  # (B, V)
            logits = last if stays else last.float().cpu().numpy()
            check_logits(TARGET, doc_ids, last_tokens + step, logits)
            tokens = sample_tokens(logits, sampling.warpers, generators)
            for index, token in enumerate(tokens):
                if running[index]:
                    answers[index].append(token)
                    ends = token in model.end_tokens or step + 1 == most[index]
                    running[index] = not ends
            if not any(running):
                break
            steps.append(tokens)
    return [
        item.answered(answer, "end_token" if answer[-1] in model.end_tokens else "limit")
        for item, answer in zip(prompts, answers, strict=True)
    ]


def answer_conversations(
    model: LanguageModel,
    prompts: Sequence[Passage],
    follow_ups: FollowUps,
    sampling: AnswerSampling,
) -> list[Passage]:
    """Let the model answer first prompts and all that follow, with its answers as history.

    Args:
        model: the target.
        prompts: first prompts, of a document each.
        follow_ups: makes the later ones.
        sampling: how.

    Returns:
        Prompts followed by their answers, document by document and turn by turn.

    Raises:
        InvalidDistributionError: the model's logits are NaN or infinite.
        TextSourceError: the chat template refuses a later turn.
    """
    answered: dict[int, list[Passage]] = {item.doc_id: [] for item in prompts}
    waiting = list(prompts)
    while waiting:
        for item in answer_prompts(model, waiting, sampling):
            answered[item.doc_id].append(item)
        later = (follow_ups.after(answered[item.doc_id]) for item in waiting)
        waiting = [item for item in later if item is not None]
    return [item for turns in answered.values() for item in turns]


def sample_tokens(
    logits: Any, warpers: Warpers, generators: Sequence[np.random.Generator]
) -> list[int]:
    """Draw a token from each row of logits, warped as the bounds are: the law of the text.

    One uniform number is used for each row whatever the warpers, so that generators stay in step.

    Args:
        logits: array or tensor of shape (B, V); tokens of a tensor are drawn on its device.
        warpers: of the rows.
        generators: one for each row.

    Example:
        >>> rows = np.array([[0.0, 3.0, 1.0]], dtype=np.float32)
        >>> sample_tokens(rows, Warpers(0.0), [np.random.default_rng(0)])
        [1]
    """
    uniforms = np.array([generator.random() for generator in generators])[:, None]
    probabilities: Any = distribution_from_logits(logits, **warpers.as_dict())  # (B, V)
    cumulative = probabilities.cumsum(1)
    total = cumulative[:, -1:]
    if not isinstance(cumulative, np.ndarray):
        uniforms = total.new_tensor(uniforms)
    # Tokens before the one drawn: all whose running mass is not above the number. Rounding may put
    # that past the last token of any probability, at which the total is reached.
    drawn = (cumulative <= uniforms * total).sum(1)
    last = (cumulative < total).sum(1)
    return [min(pair) for pair in zip(drawn.tolist(), last.tolist(), strict=True)]
