"""Train the bundled tiny pair from nothing but a CPython installation.

    python -m mdbound.logits_cache.tiny.train --out DIR

One byte-level BPE tokenizer; a target trained on next tokens; then a draft distilled from the
target. Writes `DIR/target`, `DIR/draft` and `DIR/MODEL_CARD.md`, the latter with the losses and
the acceptance measured on the held-out topics, from the saved files.

The same seed, step counts, versions of Python and torch, thread count and kind of processor give
the same weights. `--minutes` turns into step counts by timing a few steps, so only explicit step
counts (the model card states them) repeat a run. Needs torch 2.9 or later, for the Muon optimizer.

Where other programs compete for the cores, set OMP_WAIT_POLICY=PASSIVE: threads that spin while
they wait for one another were several times slower there. The result is the same.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdbound.logits_cache.text.python_docs import python_docs_topics
from mdbound.logits_cache.tiny.corpus import Corpus, load_corpus
from mdbound.logits_cache.tiny.evaluate import MAX_TOKENS, score_pair
from mdbound.logits_cache.tiny.model_card import ModelFacts, TrainingRun, model_card

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

VOCAB_SIZE = 4096
BOS, EOS, PAD = SPECIAL_TOKENS = ("<s>", "</s>", "<pad>")

# The training that made the bundled pair, chosen by looking at the loss on held-out topics: other
# values make another pair.
BATCH_SIZE = 4
WARMUP_STEPS = 50
FINAL_LEARNING_RATE_SHARE = 0.05

#: Steps that are timed before a run by minutes: more predict its length better, and come on top.
TIMED_STEPS = 6

#: The rest trains the draft, which has to be the weaker one of the two.
TARGET_SHARE_OF_TIME = 0.65


@dataclass(frozen=True)
class Shape:
    """The size of one Llama model and the peak learning rates that suit it.

    Attributes:
        hidden_size: The width.
        num_hidden_layers: The depth.
        num_attention_heads: Attention heads of each layer.
        intermediate_size: The width of the MLP.
        matrix_rate: For Muon, on the matrices of the layers.
        learning_rate: For AdamW, on the embedding and the norms.
    """

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    matrix_rate: float
    learning_rate: float


@dataclass(frozen=True)
class Mixture:
    """The shares of topics, docstrings and sources in the training rows, at start and end.

    The mixture moves linearly from one to the other. There are so few topics that the target learns
    them by heart when they are a third of the rows: its loss on held-out topics then ends up above
    that of a draft distilled from it.
    """

    start: tuple[float, float, float] = (0.12, 0.48, 0.40)
    end: tuple[float, float, float] = (0.22, 0.58, 0.20)

    def at(self, progress: float) -> tuple[float, ...]:
        """The shares once this part (0 to 1) of the training is done."""
        return tuple(a + progress * (b - a) for a, b in zip(self.start, self.end, strict=True))


TARGET_SHAPE = Shape(192, 5, 6, 512, matrix_rate=1e-2, learning_rate=5e-3)
DRAFT_SHAPE = Shape(64, 2, 2, 192, matrix_rate=1e-2, learning_rate=8e-3)
MIXTURE = Mixture()

Loss = Callable[[Any, "torch.Tensor"], "torch.Tensor"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the pair and write the folders and the model card.

    Args:
        arguments: The command line, `sys.argv` by default.
    """
    import torch

    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    started = time.monotonic()

    corpus = load_corpus()
    tokenizer = train_tokenizer(corpus)
    rows = TrainingRows(tokenizer, corpus)
    log.info("tokens by stream: %s", rows.tokens_by_stream)

    target = new_model(TARGET_SHAPE, options.seed)
    target_steps = options.target_steps or steps_within(
        60 * options.minutes * TARGET_SHARE_OF_TIME, TARGET_SHAPE, rows, next_token_loss
    )
    fit(target, TARGET_SHAPE, rows, next_token_loss, steps=target_steps, seed=options.seed)

    draft = new_model(DRAFT_SHAPE, options.seed + 1)
    loss = distillation_loss(target)
    draft_steps = options.draft_steps or steps_within(
        60 * options.minutes * (1 - TARGET_SHARE_OF_TIME), DRAFT_SHAPE, rows, loss
    )
    fit(draft, DRAFT_SHAPE, rows, loss, steps=draft_steps, seed=options.seed + 1)

    save(target, tokenizer, options.out / "target")
    save(draft, tokenizer, options.out / "draft")
    run = TrainingRun(
        seed=options.seed,
        target_steps=target_steps,
        draft_steps=draft_steps,
        batch_size=BATCH_SIZE,
        window_tokens=MAX_TOKENS,
        threads=options.threads,
        minutes=(time.monotonic() - started) / 60,
    )
    _write_card(options.out, run, target, draft, rows)
    log.info("done after %.1f minutes", run.minutes)


def _write_card(out: Path, run: TrainingRun, target: Any, draft: Any, rows: TrainingRows) -> None:
    """Measure the saved pair on held-out text, and write the model card."""
    card = model_card(
        run=run,
        target=ModelFacts.of(target, TARGET_SHAPE),
        draft=ModelFacts.of(draft, DRAFT_SHAPE),
        tokens_by_stream=rows.tokens_by_stream,
        mixture=(MIXTURE.start, MIXTURE.end),
        scores=score_pair(out / "target", out / "draft", python_docs_topics("held_out")),
    )
    (out / "MODEL_CARD.md").write_text(card, encoding="utf-8")


def train_tokenizer(corpus: Corpus) -> Any:
    """A byte-level BPE tokenizer of `VOCAB_SIZE` tokens that starts every text with `BOS`.

    The reference counts several times over, so that its words get tokens of their own.

    Args:
        corpus: The training text.

    Returns:
        A `tokenizers.Tokenizer`.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = corpus.topics * 6 + corpus.docstrings + corpus.sources[::4]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A",
        pair=f"{BOS} $A {BOS} $B",
        special_tokens=[(BOS, tokenizer.token_to_id(BOS))],
    )
    return tokenizer


class TrainingRows:
    """Random windows of `MAX_TOKENS` tokens, drawn from the streams of the corpus.

    Args:
        tokenizer: The tokenizer.
        corpus: The training text.
    """

    def __init__(self, tokenizer: Any, corpus: Corpus) -> None:
        documents = (corpus.topics, corpus.docstrings, corpus.sources)
        self._streams = [_concatenate(tokenizer, stream) for stream in documents]
        names = ("topics", "docstrings", "sources")
        self.tokens_by_stream = dict(zip(names, map(len, self._streams), strict=True))

    def batches(self, steps: int, seed: int) -> Iterator[torch.Tensor]:
        """One batch of token ids for each step, of shape (`BATCH_SIZE`, `MAX_TOKENS`).

        Args:
            steps: The number of batches, over which the mixture moves from start to end.
            seed: What determines the windows.
        """
        import torch

        generator = torch.Generator().manual_seed(seed)
        for step in range(steps):
            shares = torch.tensor(MIXTURE.at(step / steps))
            streams = torch.multinomial(shares, BATCH_SIZE, replacement=True, generator=generator)
            windows = (self._window(self._streams[int(i)], generator) for i in streams)
            yield torch.stack(list(windows))

    @staticmethod
    def _window(stream: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        import torch

        start = int(torch.randint(len(stream) - MAX_TOKENS, (1,), generator=generator))
        return stream[start : start + MAX_TOKENS]


def new_model(shape: Shape, seed: int) -> Any:
    """A Llama model with random weights and tied embeddings.

    Args:
        shape: Its size.
        seed: What determines the weights.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.num_hidden_layers,
        num_attention_heads=shape.num_attention_heads,
        num_key_value_heads=shape.num_attention_heads,
        intermediate_size=shape.intermediate_size,
        max_position_embeddings=MAX_TOKENS,
        tie_word_embeddings=True,
        bos_token_id=SPECIAL_TOKENS.index(BOS),
        eos_token_id=SPECIAL_TOKENS.index(EOS),
        pad_token_id=SPECIAL_TOKENS.index(PAD),
    )
    return LlamaForCausalLM(config)


def next_token_loss(model: Any, batch: torch.Tensor) -> torch.Tensor:
    """The mean cross-entropy of the next token.

    Args:
        model: A causal language model.
        batch: Token ids.
    """
    from torch.nn.functional import cross_entropy

    logits = _logits(model, batch)[:, :-1]
    return cross_entropy(logits.reshape(-1, VOCAB_SIZE), batch[:, 1:].reshape(-1))


def distillation_loss(teacher: Any) -> Loss:
    """The mean divergence KL(teacher || model) of the next-token distributions.

    A draft is there to resemble its target, not to predict the text, and the target's whole
    distribution says more about the target than the one token that followed.

    Args:
        teacher: The trained target.
    """
    import torch
    from torch.nn.functional import kl_div

    teacher.eval()

    def loss(model: Any, batch: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            wanted = _logits(teacher, batch).log_softmax(-1)
        got = _logits(model, batch).log_softmax(-1)
        divergence = kl_div(got, wanted, reduction="sum", log_target=True)
        return divergence / batch.numel()

    return loss


def fit(model: Any, shape: Shape, rows: TrainingRows, loss: Loss, *, steps: int, seed: int) -> None:
    """Train a model in place, with a linear warm-up and a cosine decay.

    Args:
        model: The model.
        shape: Its size and its learning rates.
        rows: Where the batches come from.
        loss: What to minimise.
        steps: The number of batches.
        seed: What determines the batches.
    """
    import torch

    optimizers = _optimizers(model, shape)
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _schedule(step, steps))
        for optimizer in optimizers
    ]
    model.train()
    for step, batch in enumerate(rows.batches(steps, seed), start=1):
        value = loss(model, batch)
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
        if step % 200 == 0 or step == steps:
            log.info("step %d of %d: training loss %.3f", step, steps, value.item())
    model.eval()


def steps_within(seconds: float, shape: Shape, rows: TrainingRows, loss: Loss) -> int:
    """How many training steps fit into a time, from timing a few on a throw-away model.

    Args:
        seconds: The time.
        shape: The size of the model to train.
        rows: Where the batches come from.
        loss: What to minimise.
    """
    model = new_model(shape, seed=0)
    fit(model, shape, rows, loss, steps=1, seed=0)
    started = time.monotonic()
    fit(model, shape, rows, loss, steps=TIMED_STEPS, seed=0)
    seconds_per_step = (time.monotonic() - started) / TIMED_STEPS
    log.info("%.2f seconds a step", seconds_per_step)
    return max(1, int(seconds / seconds_per_step))


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write a model, as float16 weights, and the tokenizer into a folder.

    The configuration asks for float32: the small file loads into weights that a CPU computes
    with at full speed and precision.

    Args:
        model: The model, which is rounded to float16 in place.
        tokenizer: The tokenizer.
        folder: Where to write, created if needed.
    """
    model.half().save_pretrained(folder)
    config_file = folder / "config.json"
    config = json.loads(config_file.read_text(encoding="utf-8"))
    config.pop("torch_dtype", None)
    _write_json(config_file, {**config, "dtype": "float32"}, indent=2)
    _write_json(folder / "tokenizer.json", json.loads(tokenizer.to_str()), indent=None)
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PAD,
        "clean_up_tokenization_spaces": False,
        "model_max_length": MAX_TOKENS,
    }
    _write_json(folder / "tokenizer_config.json", tokenizer_config, indent=2)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m mdbound.logits_cache.tiny.train",
        description="Train the bundled tiny pair on what a CPython installation contains.",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--minutes", type=float, default=22.0, help="training time, about")
    parser.add_argument("--target-steps", type=int, help="instead of --minutes for the target")
    parser.add_argument("--draft-steps", type=int, help="instead of --minutes for the draft")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args(arguments)


def _concatenate(tokenizer: Any, documents: Iterable[str]) -> torch.Tensor:
    import torch

    eos = tokenizer.token_to_id(EOS)
    encodings = tokenizer.encode_batch(list(documents))
    return torch.tensor([token for encoding in encodings for token in (*encoding.ids, eos)])


def _logits(model: Any, batch: torch.Tensor) -> torch.Tensor:
    """Logits in float32 from a pass in bfloat16, which halves the time on current processors."""
    import torch

    with torch.autocast("cpu", torch.bfloat16):
        logits: torch.Tensor = model(batch, use_cache=False).logits
    return logits.float()


def _optimizers(model: Any, shape: Shape) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices and AdamW for the rest.

    Within the few thousand steps that a processor does in minutes, AdamW alone was clearly
    behind: on held-out topics, 5.7 nats a token against 5.0 after the first 300 steps.
    """
    import torch

    named = list(model.named_parameters())
    matrices = [value for name, value in named if value.ndim == 2 and "embed" not in name]
    others = [value for name, value in named if value.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(
            matrices, lr=shape.matrix_rate, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(others, lr=shape.learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def _schedule(step: int, steps: int) -> float:
    rise = min(1.0, (step + 1) / WARMUP_STEPS)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    return rise * (FINAL_LEARNING_RATE_SHARE + (1 - FINAL_LEARNING_RATE_SHARE) * cosine)


def _write_json(path: Path, content: Any, indent: int | None) -> None:
    separators = None if indent else (",", ":")
    text = json.dumps(content, indent=indent, separators=separators, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
