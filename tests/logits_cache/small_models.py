"""Models with random weights and a byte tokenizer: real architectures, milliseconds to run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

VOCAB_SIZE = 258  # 256 bytes, <s> and </s>
TARGET_WIDTH = 272  # padded, as real models are, and not alike
DRAFT_WIDTH = 264
LAYERS = 4
BEGIN, END = 256, 257
CHAT_TEMPLATE = (
    "{% for message in messages %}[{{ message['role'] }}] {{ message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %} [assistant] {% endif %}"
)


def byte_tokenizer(extra: tuple[str, ...] = (), chat_template: str | None = CHAT_TEMPLATE) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*alphabet, *extra])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = chat_template
    return tokenizer


def edged_tokenizer(
    *, begins: bool = True, ends: bool = False, chat_template: str | None = CHAT_TEMPLATE
) -> Any:
    """A byte tokenizer that puts `<s>` before a text, `</s>` after it, or both."""
    from tokenizers.processors import TemplateProcessing

    tokenizer = byte_tokenizer(chat_template=chat_template)
    parts = ["<s>"] * begins + ["$A"] + ["</s>"] * ends
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=" ".join(parts), special_tokens=[("<s>", BEGIN), ("</s>", END)]
    )
    return tokenizer


def llama(width: int, layers: int, seed: int) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=width,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.3,  # far from uniform, so that a wrong context shows
        bos_token_id=256,
        eos_token_id=257,
    )
    return LlamaForCausalLM(config).eval()


def save_model(folder: Path, model: Any, tokenizer: Any) -> str:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def make_pair(folder: Path) -> tuple[str, str]:
    """Folders of a target and of a draft that share a tokenizer."""
    import torch

    # Two threads per test process on a busy machine wait for each other a hundred times longer
    # than these models compute.
    torch.set_num_threads(1)
    tokenizer = byte_tokenizer()
    target = save_model(folder / "big", llama(TARGET_WIDTH, LAYERS, seed=0), tokenizer)
    draft = save_model(folder / "small", llama(DRAFT_WIDTH, 2, seed=1), tokenizer)
    return target, draft
