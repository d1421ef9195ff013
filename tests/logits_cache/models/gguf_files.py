"""Writes `.gguf` files as llama.cpp's converter does, from networks with random weights.

What is stored otherwise than in safetensors is written here from llama.cpp's side: rotary halves
interleaved, norms of Gemma with 1 added, queries, keys and values of BLOOM apart, convolutions of
GPT-2 transposed, decays of Mamba exponentiated. The names of tensors are the format's own table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

VOCAB_SIZE = 300
HIDDEN, HEADS, KEY_HEADS, WIDE = 32, 4, 2, 48
CONTEXT = 128
THETA = 5000.0
SIZES = {
    "vocab_size": VOCAB_SIZE, "hidden_size": HIDDEN, "num_hidden_layers": 3,
    "num_attention_heads": HEADS, "num_key_value_heads": KEY_HEADS, "intermediate_size": WIDE,
    "max_position_embeddings": CONTEXT, "initializer_range": 0.3, "pad_token_id": None,
    "bos_token_id": 298, "eos_token_id": 299,
}  # fmt: skip

Convert = Callable[[str, np.ndarray, Any], np.ndarray]


def as_it_is(name: str, weight: np.ndarray, config: Any) -> np.ndarray:
    return weight


def interleaved(name: str, weight: np.ndarray, config: Any) -> np.ndarray:
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    part = next((part for part in heads if part in name), None)
    if part is None:
        return weight
    halves = weight.reshape(heads[part], 2, -1, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def one_more(name: str, weight: np.ndarray, config: Any) -> np.ndarray:
    return weight + 1 if name.endswith("norm.weight") else weight


def transposed(name: str, weight: np.ndarray, config: Any) -> np.ndarray:
    convolutions = (".c_attn.weight", ".c_proj.weight", ".c_fc.weight")
    return weight.T if name.endswith(convolutions) else weight


def apart(name: str, weight: np.ndarray, config: Any) -> np.ndarray:
    if "query_key_value" not in name:
        return weight
    by_head = weight.reshape(config.n_head, 3, -1, *weight.shape[1:])
    return by_head.swapaxes(0, 1).reshape(weight.shape)


def flat_gate(name: str, weight: np.ndarray, config: Any) -> np.ndarray:
    return weight.squeeze(0) if name.endswith("shared_expert_gate.weight") else weight


def of_mamba(name: str, weight: np.ndarray, config: Any) -> np.ndarray:
    if name.endswith("A_log"):
        return -np.exp(weight)
    return weight.squeeze(1) if name.endswith("conv1d.weight") else weight


@dataclass(frozen=True)
class GgufCase:
    """A tiny model, and the file that llama.cpp would make of it.

    Attributes:
        architecture: as the file names it.
        model_type: as transformers names it.
        config: settings besides SIZES; `...` leaves one of those out.
        keys: keys of the header besides BASE; None leaves one of those out.
        convert: how weights are stored.
        tensors: further tensors.
    """

    architecture: str
    model_type: str
    config: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, Any] = field(default_factory=dict)
    convert: Convert = as_it_is
    tensors: Mapping[str, np.ndarray] = field(default_factory=dict)

    def with_keys(self, **keys: Any) -> GgufCase:
        """The same with other keys; `__` stands for a dot."""
        named = {name.replace("__", "."): value for name, value in keys.items()}
        return replace(self, keys={**self.keys, **named})

    def network(self) -> Any:
        """The model with random weights, biases and norms included."""
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        sizes = {name: value for name, value in SIZES.items() if name not in self.config}
        given = {name: value for name, value in self.config.items() if value is not ...}
        torch.manual_seed(0)
        config = AutoConfig.for_model(self.model_type, **sizes, **given)
        network = AutoModelForCausalLM.from_config(config).eval()
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.ndim == 1:  # made as zeros or ones, which would hide a lost one
                    parameter.add_(0.2 * torch.randn(parameter.shape))
        return network


BASE = {
    "block_count": 3, "context_length": CONTEXT, "embedding_length": HIDDEN,
    "feed_forward_length": WIDE, "attention.head_count": HEADS,
    "attention.head_count_kv": KEY_HEADS, "rope.freq_base": THETA, "vocab_size": VOCAB_SIZE,
}  # fmt: skip
RMS = {"attention.layer_norm_rms_epsilon": 1e-6}
NORM = {"attention.layer_norm_epsilon": 1e-5}
ROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": THETA}}
WIDE_HEADS = {"attention.key_length": 16, "attention.value_length": 16}
UNTIED = {"tie_word_embeddings": False}

SHORT = [1.0, 1.1, 1.25, 1.5]
LONG = [2.0, 3.0, 5.0, 8.0]

LLAMA = GgufCase(
    "llama", "llama", {**ROPE, **UNTIED}, {**RMS, "rope.dimension_count": 8}, interleaved
)
QWEN2 = GgufCase("qwen2", "qwen2", {**ROPE, **UNTIED}, RMS)
PHI3 = GgufCase(
    "phi3", "phi3", {**ROPE, **UNTIED, "sliding_window": 12},
    {"attention.layer_norm_rms_epsilon": 1e-5, "rope.dimension_count": 8,
     "attention.sliding_window": 12},
)  # fmt: skip

CASES: Mapping[str, GgufCase] = {
    "llama": LLAMA,
    "llama tied": replace(LLAMA, config=ROPE | {"tie_word_embeddings": True}),
    "llama linear": replace(
        LLAMA,
        config={**UNTIED, "rope_parameters": {
            "rope_type": "linear", "factor": 4.0, "rope_theta": THETA}},
    ).with_keys(rope__scaling__type="linear", rope__scaling__factor=4.0),
    "qwen2": QWEN2,
    "qwen2 wide heads": replace(QWEN2, config={**QWEN2.config, "head_dim": 16}).with_keys(
        attention__key_length=16, attention__value_length=16
    ),
    "qwen2 yarn": replace(
        QWEN2,
        config={**UNTIED, "rope_parameters": {
            "rope_type": "yarn", "factor": 4.0, "rope_theta": THETA,
            "original_max_position_embeddings": 32}},
    ).with_keys(
        rope__scaling__type="yarn", rope__scaling__factor=4.0,
        rope__scaling__original_context_length=32,
    ),
    "qwen3": GgufCase(
        "qwen3", "qwen3", {**ROPE, **UNTIED, "head_dim": 16}, {**RMS, **WIDE_HEADS}
    ),
    "qwen2moe": GgufCase(
        "qwen2moe", "qwen2_moe",
        {**ROPE, **UNTIED, "num_experts": 6, "num_experts_per_tok": 2,
         "moe_intermediate_size": 24, "shared_expert_intermediate_size": 40},
        {**RMS, "expert_count": 6, "expert_used_count": 2, "expert_feed_forward_length": 24,
         "expert_shared_feed_forward_length": 40},
        flat_gate,
    ),
    "qwen3moe": GgufCase(
        "qwen3moe", "qwen3_moe",
        {**ROPE, **UNTIED, "head_dim": 16, "num_experts": 6, "num_experts_per_tok": 2,
         "moe_intermediate_size": 24, "norm_topk_prob": True},
        {**RMS, **WIDE_HEADS, "expert_count": 6, "expert_used_count": 2,
         "expert_feed_forward_length": 24},
    ),
    "phi3": PHI3,
    "phi3 longrope": replace(
        PHI3,
        config={**UNTIED, "sliding_window": 12, "original_max_position_embeddings": 16,
                "rope_parameters": {
                    "rope_type": "longrope", "rope_theta": THETA, "short_factor": SHORT,
                    "long_factor": LONG, "original_max_position_embeddings": 16,
                }},
        tensors={"rope_factors_short.weight": np.array(SHORT),
                 "rope_factors_long.weight": np.array(LONG)},
    ).with_keys(
        rope__scaling__original_context_length=16,
        # The converter's formula: sqrt(1 + ln(128 / 16) / ln(16)).
        rope__scaling__attn_factor=float(np.sqrt(1 + np.log(8) / np.log(16))),
    ),
    "gemma2": GgufCase(
        "gemma2", "gemma2",
        {**ROPE, "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 8,
         "attn_logit_softcapping": 3.0, "final_logit_softcapping": 4.0},
        {**RMS, **WIDE_HEADS, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 4.0,
         "attention.sliding_window": 8},
        one_more,
    ),
    "gemma3": GgufCase(
        "gemma3", "gemma3_text",
        {"num_hidden_layers": 7, "head_dim": 16, "query_pre_attn_scalar": 16,
         "sliding_window": 8, "rope_parameters": {
             "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
             "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": THETA}}},
        {**RMS, **WIDE_HEADS, "block_count": 7, "attention.sliding_window": 8,
         "rope.scaling.type": "linear", "rope.scaling.factor": 8.0},
        one_more,
    ),
    "stablelm": GgufCase(
        "stablelm", "stablelm",
        {**UNTIED, "use_qkv_bias": True, "rope_parameters": {
            "rope_type": "default", "rope_theta": THETA, "partial_rotary_factor": 0.5}},
        {**NORM, "rope.dimension_count": 4, "use_parallel_residual": False},
    ),
    "starcoder2": GgufCase("starcoder2", "starcoder2", {**ROPE, **UNTIED}, NORM),
    "gpt2": GgufCase(
        "gpt2", "gpt2",
        {"intermediate_size": ..., "num_key_value_heads": ..., "n_inner": 64},
        {**NORM, "feed_forward_length": 64, "attention.head_count_kv": None,
         "rope.freq_base": None, "vocab_size": None},
        transposed,
    ),
    "bloom": GgufCase(
        "bloom", "bloom",
        {"intermediate_size": ..., "num_key_value_heads": ..., "max_position_embeddings": ...},
        {**NORM, "attention.head_count_kv": None, "rope.freq_base": None},
        apart,
    ),
    "mamba": GgufCase(
        "mamba", "mamba",
        {"intermediate_size": ..., "num_key_value_heads": ..., "num_attention_heads": ...,
         "max_position_embeddings": ...},
        {"attention.layer_norm_rms_epsilon": 1e-5, "attention.head_count_kv": None,
         "rope.freq_base": None, "attention.head_count": 0, "feed_forward_length": 0,
         "ssm.conv_kernel": 4, "ssm.inner_size": 64, "ssm.state_size": 16,
         "ssm.time_step_rank": 2},
        of_mamba,
    ),
}  # fmt: skip


def write_gguf(path: Path, case: GgufCase, network: Any) -> None:
    """Write the network as a file of the case."""
    import gguf

    writer = gguf.GGUFWriter(path, case.architecture)
    add_keys(writer, case)
    add_vocabulary(writer)
    for name, weight in stored_weights(case, network).items():
        writer.add_tensor(name, np.ascontiguousarray(weight, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_keys(writer: Any, case: GgufCase) -> None:
    add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32,
           str: writer.add_string, list: writer.add_array}  # fmt: skip
    for name, value in {**BASE, **case.keys}.items():
        if value is not None:
            add[type(value)](f"{case.architecture}.{name}", value)


def add_vocabulary(writer: Any) -> None:
    """Bytes, one merged token, tokens that no text has, <s> and </s>."""
    from tokenizers import pre_tokenizers

    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "th"]
    tokens += [f"x{index}" for index in range(VOCAB_SIZE - len(tokens) - 2)]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([*tokens, "<s>", "</s>"])
    writer.add_token_types([1] * len(tokens) + [3, 3])
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(VOCAB_SIZE - 2)
    writer.add_eos_token_id(VOCAB_SIZE - 1)


def stored_weights(case: GgufCase, network: Any) -> dict[str, np.ndarray]:
    """Weights under the names of the format; a tied output layer is left out, as it is there."""
    import gguf

    kind = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == case.architecture)
    names = gguf.get_tensor_name_map(kind, network.config.num_hidden_layers)
    tied = network.config.tie_word_embeddings
    stored = dict(case.tensors)
    for name, tensor in network.state_dict().items():
        if tied and name == "lm_head.weight":
            continue
        if "experts." in name:
            stored |= stacked_experts(name, tensor.numpy())
            continue
        stem, dot, suffix = name.rpartition(".")
        if suffix not in {"weight", "bias"}:
            stem, dot, suffix = name, "", ""
        place = names.get_name(stem) or names.get_name(stem.removeprefix("transformer."))
        assert place is not None, name
        stored[place + dot + suffix] = case.convert(name, tensor.numpy(), network.config)
    return stored


def stacked_experts(name: str, weight: np.ndarray) -> dict[str, np.ndarray]:
    """All experts of a layer in one tensor each for the gate, the way up and the way down."""
    block = f"blk.{name.split('.layers.')[1].split('.', maxsplit=1)[0]}"
    if name.endswith("down_proj"):
        return {f"{block}.ffn_down_exps.weight": weight}
    gate, up = np.split(weight, 2, axis=1)
    return {f"{block}.ffn_gate_exps.weight": gate, f"{block}.ffn_up_exps.weight": up}
