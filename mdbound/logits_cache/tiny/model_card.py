"""The text of the tiny pair's model card, filled with what one training run measured."""

from __future__ import annotations

import math
import platform
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Protocol

from mdbound.logits_cache.tiny.evaluate import DocumentScore, Mean, mean_over_documents


@dataclass(frozen=True)
class TrainingRun:
    """What determines a training run besides the text."""

    seed: int
    target_steps: int
    draft_steps: int
    batch_size: int
    window_tokens: int
    threads: int
    minutes: float


class LearningRates(Protocol):
    """The peak learning rates of one model."""

    @property
    def matrix_rate(self) -> float:
        """Of Muon, which trains the matrices of the layers."""

    @property
    def learning_rate(self) -> float:
        """Of AdamW, which trains the embedding and the norms."""


@dataclass(frozen=True)
class ModelFacts:
    """The row of one model in the architecture table."""

    parameters: int
    layers: int
    hidden_size: int
    heads: int
    intermediate_size: int
    matrix_rate: float
    learning_rate: float

    @classmethod
    def of(cls, model: Any, rates: LearningRates) -> ModelFacts:
        """Read them off a Llama model.

        Args:
            model: The model.
            rates: What it was trained with.
        """
        config = model.config
        return cls(
            parameters=model.num_parameters(),
            layers=config.num_hidden_layers,
            hidden_size=config.hidden_size,
            heads=config.num_attention_heads,
            intermediate_size=config.intermediate_size,
            matrix_rate=rates.matrix_rate,
            learning_rate=rates.learning_rate,
        )


def model_card(
    *,
    run: TrainingRun,
    target: ModelFacts,
    draft: ModelFacts,
    tokens_by_stream: Mapping[str, int],
    mixture: Sequence[Sequence[float]],
    scores: Sequence[DocumentScore],
) -> str:
    """The model card, in Markdown.

    Args:
        run: The settings of the run.
        target: The target's size.
        draft: The draft's size.
        tokens_by_stream: How many tokens of each kind of text there were.
        mixture: The shares of those kinds at the start and at the end of training.
        scores: The pair's scores on the held-out topics.
    """
    return _TEMPLATE.format(
        architecture=_architecture_table(target, draft),
        streams=_stream_table(tokens_by_stream, mixture),
        results=_results_table(scores),
        documents=_document_table(scores),
        document_count=len(scores),
        position_count=sum(score.positions for score in scores),
        python=platform.python_version(),
        architecture_name=sysconfig.get_platform(),
        torch=version("torch").split("+")[0],
        transformers=version("transformers"),
        tokenizers=version("tokenizers"),
        **vars(run),
    )


def _architecture_table(target: ModelFacts, draft: ModelFacts) -> str:
    rows = [
        ("parameters", f"{target.parameters:,}", f"{draft.parameters:,}"),
        ("layers", target.layers, draft.layers),
        ("hidden size", target.hidden_size, draft.hidden_size),
        ("attention heads", target.heads, draft.heads),
        ("MLP size", target.intermediate_size, draft.intermediate_size),
        ("peak learning rate, Muon", target.matrix_rate, draft.matrix_rate),
        ("peak learning rate, AdamW", target.learning_rate, draft.learning_rate),
        ("trained on", "next tokens", "the target's distribution"),
    ]
    return _table(("", "target", "draft"), rows)


def _stream_table(tokens: Mapping[str, int], mixture: Sequence[Sequence[float]]) -> str:
    rows = [
        (name, f"{count:,}", *(f"{shares[i]:.0%}" for shares in mixture))
        for i, (name, count) in enumerate(tokens.items())
    ]
    return _table(("text", "tokens", "share of rows, first", "last"), rows)


def _results_table(scores: Sequence[DocumentScore]) -> str:
    target = mean_over_documents([score.target_loss for score in scores])
    draft = mean_over_documents([score.draft_loss for score in scores])
    acceptance = mean_over_documents([score.acceptance for score in scores])
    rows = [
        ("loss, nats per token", _with_error(target), _with_error(draft)),
        ("perplexity", f"{math.exp(target.value):.1f}", f"{math.exp(draft.value):.1f}"),
        ("single-draft acceptance", _with_error(acceptance), ""),
    ]
    return _table(("on held-out topics", "target", "draft"), rows)


def _document_table(scores: Sequence[DocumentScore]) -> str:
    rows = [
        (
            score.name,
            score.text_hash,
            score.positions,
            f"{score.target_loss:.4f}",
            f"{score.draft_loss:.4f}",
            f"{score.acceptance:.4f}",
        )
        for score in scores
    ]
    header = ("topic", "text SHA-256", "positions", "target loss", "draft loss", "acceptance")
    return _table(header, rows)


def _with_error(mean: Mean) -> str:
    return f"{mean.value:.3f} ± {mean.standard_error:.3f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    separator = ["---"] * len(header)
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in (header, separator, *rows))


_TEMPLATE = """\
# The tiny pair

Two small Llama models with one tokenizer, for demos and tests of `mdbound` that need no download:
a target, and a draft that is cheaper and clearly worse. They produce text that looks like the
Python documentation and means nothing. Use them to see real next-token distributions of two
models that disagree, and for nothing else.

`mdbound.logits_cache.tiny.tiny_model_path("target")` is a folder that
`AutoModelForCausalLM.from_pretrained` and `AutoTokenizer.from_pretrained` load.

## Architecture

{architecture}

Llama with tied embeddings, {window_tokens} positions, and a byte-level BPE tokenizer of 4,096
tokens trained on the same text; it puts `<s>` before every text. The weights are stored as
float16 and load as float32.

## Data and licence

Everything comes from one installation of CPython {python}:

{streams}

*topics* are sections of the language reference (`pydoc_data.topics`), *docstrings* and *sources*
are those of the standard library without its tests, IDLE, lib2to3, the encodings and the demos.
A fixed set of topics, chosen by a hash of the name, is held out (the rule is in
`mdbound/logits_cache/python_docs.py`): every paragraph of the three kinds of text that equals a
held-out paragraph, or has ten consecutive words in common with one, was removed before the
tokenizer and the models were trained.

The Python documentation and standard library are under the
[Python Software Foundation License Version 2](https://docs.python.org/3/license.html), copyright
Python Software Foundation. The weights and the tokenizer derive from them.

## Training

    python -m mdbound.logits_cache.tiny.train --out DIR --seed {seed} \\
        --target-steps {target_steps} --draft-steps {draft_steps} --threads {threads}

This took {minutes:.0f} minutes on {threads} busy processor cores. Each step sees {batch_size} rows
of {window_tokens} tokens. Muon (momentum 0.95, weight decay 0.1) trains the matrices of the layers
and AdamW (betas 0.9 and 0.98, no decay) the rest, with 50 steps of warm-up, a cosine decay to 5 %
of the peak learning rate, gradient norms of at most 1 and forward passes in bfloat16. The shares
of the three kinds of text move linearly from the first to the last column above. The draft was
distilled: it minimises KL(target || draft) on the same kind of rows and never sees the next token
itself, because a draft is there to resemble its target.

Python {python}, torch {torch}, transformers {transformers}, tokenizers {tokenizers},
{architecture_name}. The command repeats the run to the last bit only with these versions, on the
same kind of processor, and with as many threads.

## Measured

The first {window_tokens} tokens of each of the {document_count} held-out topics, {position_count:,}
positions, temperature 1, float32 models loaded from the saved files. Single-draft acceptance is the
mean over positions of the sum over tokens of min(p, q). Every number is a mean over positions, then
over documents; ± is one standard error over documents.

{results}

Document by document (the second column is the start of the SHA-256 of the whole text, because other
versions of Python have other texts; the tests recompute some of these rows):

{documents}

## Limits

- The acceptance is that of these two models on this kind of text. It says nothing about the models
  that speculative decoding is used with: those agree more on easy tokens, and their vocabularies
  are ten to forty times larger.
- The settings were chosen by looking at the loss on these held-out topics, so that loss is slightly
  optimistic. No training text contains them.
- Other versions of Python have other texts: a paragraph that is in a held-out topic there may have
  been in a training topic here.
- Beyond {window_tokens} tokens of context the models are untrained.
"""
