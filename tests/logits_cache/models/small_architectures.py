"""Small random models of many architectures, for what holds of them all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.logits_cache.small_models import byte_tokenizer, save_model

VOCAB_SIZE = 300
SIZES = {
    "vocab_size": VOCAB_SIZE, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 48, "max_position_embeddings": 128,
    "initializer_range": 0.3, "bos_token_id": 256, "eos_token_id": 257, "pad_token_id": 0,
}  # fmt: skip
"""Weights far from 0, so that a wrong context shows."""

LONGROPE = {
    "rope_type": "longrope", "rope_theta": 10_000.0, "short_factor": [1.0] * 4,
    "long_factor": [4.0, 4.0, 8.0, 8.0], "original_max_position_embeddings": 16,
}  # fmt: skip
DYNAMIC = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0}

CAUSAL: Mapping[str, Mapping[str, Any]] = {
    "bart": {"d_model": 32, "decoder_layers": 3, "encoder_layers": 1, "is_decoder": True,
             "decoder_attention_heads": 4, "decoder_ffn_dim": 48, "init_std": 0.3,
             "num_key_value_heads": ..., "is_encoder_decoder": False},
    "bert": {"is_decoder": True},
    "biogpt": {},
    "bloom": {},
    "camembert": {"is_decoder": True, "pad_token_id": 1},
    "codegen": {"rotary_dim": 4},
    "cohere": {"logit_scale": 1.0},
    "ctrl": {},
    "falcon": {},
    "falcon_mamba": {},
    "gemma2": {"head_dim": 16, "sliding_window": 6},
    "gemma3_text": {"head_dim": 16, "sliding_window": 6},
    "gpt2": {},
    "gpt_bigcode": {},
    "gpt_neo": {"num_layers": 3, "attention_types": [[["global", "local", "global"], 1]],
                "window_size": 6},
    "gpt_neox": {},
    "gpt_oss": {},
    "gptj": {"rotary_dim": 4},
    "granite": {},
    "jamba": {"num_hidden_layers": 4, "attn_layer_period": 2, "attn_layer_offset": 1,
              "expert_layer_period": 2, "num_experts": 2, "mamba_d_state": 4,
              "use_mamba_kernels": False},
    "lfm2": {},
    "llama": {},
    "llama4_text": {"attention_chunk_size": 6},
    "mamba": {},
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 1, "state_size": 8},
    "mistral": {"sliding_window": 6},
    "mixtral": {},
    "mpt": {},
    "nemotron_h": {},
    "olmo2": {},
    "openai-gpt": {},
    "opt": {},
    "phi": {},
    "phi3": {},
    "qwen2": {},
    "qwen2_moe": {},
    "qwen3": {},
    "recurrent_gemma": {"attention_window_size": 6},
    "roberta": {"is_decoder": True, "pad_token_id": 1},
    "rwkv": {},
    "stablelm": {},
    "starcoder2": {},
    "xglm": {"attention_heads": 4},
    "xlm-roberta": {"is_decoder": True, "pad_token_id": 1},
    "zamba2": {"num_hidden_layers": 3, "layers_block_type": ["mamba", "hybrid", "mamba"],
               "layer_types": ["mamba", "hybrid", "mamba"], "n_mamba_heads": 8},
}  # fmt: skip
"""By model type, the settings besides SIZES; `...` leaves one of those out."""

ROPE_SWITCHES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "llama, dynamic rope": (
        "llama", {"rope_parameters": DYNAMIC, "max_position_embeddings": 16}),
    "phi3, longrope": (
        "phi3", {"rope_parameters": LONGROPE, "original_max_position_embeddings": 16}),
}  # fmt: skip

ACAUSAL: Mapping[str, Mapping[str, Any]] = {
    "bert": {},
    "electra": {},
    "megatron-bert": {},
    "roberta": {"pad_token_id": 1},
    "xlm-roberta": {"pad_token_id": 1},
    "xlnet": {"d_model": 32, "n_layer": 3, "n_head": 4, "d_inner": 48,
              "max_position_embeddings": ..., "num_key_value_heads": ...},
}  # fmt: skip


def network(model_type: str, settings: Mapping[str, Any], seed: int = 0) -> Any:
    """A random network, whose biases and norms are random as well."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    given = {**SIZES, **settings}
    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        model_type, **{name: value for name, value in given.items() if value is not ...}
    )
    made = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn(parameter.shape))
    return made


def saved(folder: Path, model_type: str, settings: Mapping[str, Any]) -> str:
    """The folder of a small model with the byte tokenizer."""
    return save_model(folder / model_type, network(model_type, settings), byte_tokenizer())
