"""Architectures whose `.gguf` files are checked: what each key of the header sets.

A key that stands in no table is refused, because whatever it means would be dropped. The tables
follow llama.cpp, which writes the files and defines them: its converter and, for what no key says,
the values that its loader takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from mdbound.logits_cache.models.gguf.header import GgufHeader
from mdbound.logits_cache.models.gguf.rope import (
    GGUF_ROPE_FACTORS,
    GGUF_ROPE_FREQS,
    rope_of_layer_types,
    rope_of_model,
    rope_of_partial_heads,
)

RopeSettings = Callable[[GgufHeader, int], dict[str, Any]]
Implied = Callable[[GgufHeader], dict[str, Any]]


def _nothing(_header: GgufHeader) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Architecture:
    """How the keys of one architecture become a configuration.

    Attributes:
        model_type: what transformers calls it.
        attributes: key to the attribute of the configuration that it sets.
        rope: turns the keys about rotary positions into settings; None where there are none.
        rope_tensors: tensors with factors of rotary frequencies that are applied.
        implied: settings that follow from other keys and that no key says.
        harmless: keys that change no logit.
    """

    model_type: str
    attributes: Mapping[str, str]
    rope: RopeSettings | None = None
    rope_tensors: frozenset[str] = frozenset()
    implied: Implied = _nothing
    harmless: frozenset[str] = field(default=frozenset())


def _gemma_scale(header: GgufHeader, largest: int) -> dict[str, Any]:
    """Scale of the attention scores: no key says it, llama.cpp knows the largest model by depth."""
    whole = header.values["block_count"] == largest
    return {
        "query_pre_attn_scalar": header.head_dim if whole else header.values["attention.key_length"]
    }


def _stablelm_biases(header: GgufHeader) -> dict[str, Any]:
    """Whether queries, keys and values have a bias, which only the tensors say."""
    return {"use_qkv_bias": "blk.0.attn_q.bias" in header.tensors}


def _normalised_experts(_header: GgufHeader) -> dict[str, Any]:
    """llama.cpp normalises the weights of Qwen 3's experts, whatever the file says."""
    return {"norm_topk_prob": True}


_DECODER = {
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "context_length": "max_position_embeddings",
    "feed_forward_length": "intermediate_size",
    "vocab_size": "vocab_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.value_length": "head_dim",
}
_RMS = {**_DECODER, "attention.layer_norm_rms_epsilon": "rms_norm_eps"}
_WINDOWED = {**_RMS, "attention.sliding_window": "sliding_window"}
_EXPERTS = {
    **_RMS,
    "expert_count": "num_experts",
    "expert_used_count": "num_experts_per_tok",
    "expert_feed_forward_length": "moe_intermediate_size",
}
_GPT2 = {
    "block_count": "n_layer",
    "embedding_length": "n_embd",
    "context_length": "n_positions",
    "feed_forward_length": "n_inner",
    "attention.head_count": "n_head",
    "attention.layer_norm_epsilon": "layer_norm_epsilon",
    "vocab_size": "vocab_size",
}
_BLOOM = {
    "block_count": "n_layer",
    "embedding_length": "hidden_size",
    "attention.head_count": "n_head",
    "attention.layer_norm_epsilon": "layer_norm_epsilon",
    "vocab_size": "vocab_size",
}
_MAMBA = {
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "vocab_size": "vocab_size",
    "ssm.conv_kernel": "conv_kernel",
    "ssm.state_size": "state_size",
    "ssm.inner_size": "intermediate_size",
    "ssm.time_step_rank": "time_step_rank",
    "attention.layer_norm_rms_epsilon": "layer_norm_epsilon",
}

ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "llama": Architecture("llama", _RMS, rope_of_model, frozenset({GGUF_ROPE_FREQS})),
        "qwen2": Architecture("qwen2", _RMS, rope_of_model),
        "qwen3": Architecture("qwen3", _RMS, rope_of_model),
        "qwen2moe": Architecture(
            "qwen2_moe",
            {**_EXPERTS, "expert_shared_feed_forward_length": "shared_expert_intermediate_size"},
            rope_of_model,
        ),
        "qwen3moe": Architecture("qwen3_moe", _EXPERTS, rope_of_model, implied=_normalised_experts),
        "phi3": Architecture(
            "phi3", _WINDOWED, rope_of_partial_heads, frozenset(GGUF_ROPE_FACTORS)
        ),
        "gemma2": Architecture(
            "gemma2",
            {
                **_WINDOWED,
                "attn_logit_softcapping": "attn_logit_softcapping",
                "final_logit_softcapping": "final_logit_softcapping",
            },
            rope_of_model,
            implied=lambda header: _gemma_scale(header, largest=46),
        ),
        "gemma3": Architecture(
            "gemma3_text",
            _WINDOWED,
            rope_of_layer_types,
            implied=lambda header: _gemma_scale(header, largest=62),
        ),
        "stablelm": Architecture(
            "stablelm",
            {
                **_DECODER,
                "attention.layer_norm_epsilon": "layer_norm_eps",
                "use_parallel_residual": "use_parallel_residual",
            },
            rope_of_partial_heads,
            implied=_stablelm_biases,
        ),
        "starcoder2": Architecture(
            "starcoder2",
            {**_DECODER, "attention.layer_norm_epsilon": "norm_epsilon"},
            rope_of_model,
        ),
        "gpt2": Architecture("gpt2", _GPT2),
        "bloom": Architecture(
            "bloom", _BLOOM, harmless=frozenset({"context_length", "feed_forward_length"})
        ),
        "mamba": Architecture(
            "mamba",
            _MAMBA,
            # It has neither positions nor attention; llama.cpp writes the keys all the same.
            harmless=frozenset({"context_length", "feed_forward_length", "attention.head_count"}),
        ),
    }
)
