"""A `.gguf` file goes through the same code as any model; written here, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mdbound.errors import ModelError
from mdbound.logits_cache.capturing.score import score_passages
from mdbound.logits_cache.models.model_files import find_model
from mdbound.logits_cache.models.pairing import plan_models
from mdbound.logits_cache.models.weights import load_target
from mdbound.logits_cache.text.passages import Passage
from tests.logits_cache.small_models import llama

gguf = pytest.importorskip("gguf")
pytest.importorskip("accelerate", reason="transformers reads .gguf files with it")

VOCAB_SIZE = 259  # bytes, one merged token, <s> and </s>
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def gguf_order(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rotary halves interleaved, as llama.cpp stores queries and keys."""
    half = weight.shape[0] // heads // 2
    return weight.reshape(heads, 2, half, -1).swapaxes(1, 2).reshape(weight.shape)


def write_gguf(path: Path, network: Any) -> None:
    from tokenizers import pre_tokenizers

    config = network.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(VOCAB_SIZE)
    writer.add_tokenizer_model("gpt2")
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "th", "<s>", "</s>"]
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 257 + [3, 3])
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(257)
    writer.add_eos_token_id(258)
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    writer.add_tensor("token_embd.weight", state["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", state["model.norm.weight"])
    writer.add_tensor("output.weight", state["lm_head.weight"])
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for layer in range(config.num_hidden_layers):
        for name, short in NAMES.items():
            weight = state[f"model.layers.{layer}.{name}.weight"]
            stored = gguf_order(weight, heads[short]) if short in heads else weight
            writer.add_tensor(f"blk.{layer}.{short}.weight", np.ascontiguousarray(stored))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_gguf_file_gives_the_models_logits(tmp_path: Path) -> None:
    network = llama(VOCAB_SIZE, 2, seed=4)
    path = tmp_path / "small.Q8.gguf"
    write_gguf(path, network)
    files = find_model(str(path))
    assert (files.kind, files.short_name) == ("gguf", "small.Q8")
    models = plan_models(str(path), (), (), device="cpu", dtype="float32")
    # Transformers adds an end-of-text token of its own, which the model has no logits for.
    assert models.vocab_size == VOCAB_SIZE
    the = models.tokenizer.encode("the").input_ids
    assert [models.tokenizer.tokens[token] for token in the] == ["th", "e"]
    tokens = tuple(range(40, 60))
    (scored,) = score_passages(load_target(models, VOCAB_SIZE), [Passage(0, "t", 0, 0, tokens)])
    with torch.inference_mode():
        expected = network(torch.tensor([tokens[:-1]])).logits[0].numpy()
    np.testing.assert_allclose(scored[1], expected, atol=1e-5)


def test_file_that_is_no_gguf(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"not a model at all")
    with pytest.raises(ModelError, match="cannot be loaded"):
        plan_models(str(path), (), (), device="cpu", dtype="float32")
