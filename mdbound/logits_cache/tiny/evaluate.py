"""How good the tiny pair is on the held-out sections of the Python docs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from mdbound.logits_cache.text.python_docs import Topic

MAX_TOKENS = 512


@dataclass(frozen=True)
class DocumentScore:
    """Both models on the first `MAX_TOKENS` tokens of one document, averaged over its positions.

    Attributes:
        name: The topic.
        text_hash: The start of the text's SHA-256: other versions of Python have other texts.
        positions: How many next tokens were predicted.
        target_loss: Cross-entropy of the target, in nats per token.
        draft_loss: Cross-entropy of the draft, in nats per token.
        acceptance: Single-draft acceptance at temperature 1, the mean of sum_i min(p_i, q_i).
    """

    name: str
    text_hash: str
    positions: int
    target_loss: float
    draft_loss: float
    acceptance: float


@dataclass(frozen=True)
class Mean:
    """A mean over documents and its standard error."""

    value: float
    standard_error: float


def score_pair(target: Path, draft: Path, topics: Sequence[Topic]) -> list[DocumentScore]:
    """Score two model folders on topics, in float32.

    Args:
        target: The target's folder, which holds the tokenizer of both.
        draft: The draft's folder.
        topics: The documents.

    Returns:
        One score for each topic, in order.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(target)
    models: list[Any] = [AutoModelForCausalLM.from_pretrained(path) for path in (target, draft)]
    for model in models:
        model.float().eval()
    with torch.inference_mode():
        return [_score(tokenizer, models, topic) for topic in topics]


def mean_over_documents(values: Sequence[float]) -> Mean:
    """The mean of one value a document, with the standard error over documents.

    Args:
        values: One value for each of at least two documents.

    Example:
        >>> mean_over_documents([1.0, 3.0])
        Mean(value=2.0, standard_error=1.0)
    """
    return Mean(fmean(values), stdev(values) / sqrt(len(values)))


def text_hash(text: str) -> str:
    """The first eight hexadecimal digits of a text's SHA-256.

    Args:
        text: The text.

    Example:
        >>> text_hash("")
        'e3b0c442'
    """
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _score(tokenizer: Any, models: Sequence[Any], topic: Topic) -> DocumentScore:
    encoded = tokenizer(topic.text, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    token_ids = encoded.input_ids
    next_ids = token_ids[0, 1:]
    target, draft = (_log_probabilities(model, token_ids) for model in models)
    return DocumentScore(
        name=topic.name,
        text_hash=text_hash(topic.text),
        positions=len(next_ids),
        target_loss=_cross_entropy(target, next_ids),
        draft_loss=_cross_entropy(draft, next_ids),
        acceptance=float(target.exp().minimum(draft.exp()).sum(-1).mean()),
    )


def _log_probabilities(model: Any, token_ids: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(token_ids).logits[0, :-1]
    return logits.double().log_softmax(-1)


def _cross_entropy(log_probabilities: torch.Tensor, next_ids: torch.Tensor) -> float:
    return -float(log_probabilities.gather(-1, next_ids[:, None]).mean())
