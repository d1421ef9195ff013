"""A `.gguf` file gives the logits of the model it was made from, or is refused by what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mdbound.errors import ModelError
from mdbound.logits_cache.models.configuration import read_shape
from mdbound.logits_cache.models.gguf.one_reading import forget_readers
from mdbound.logits_cache.models.model_files import find_model
from mdbound.logits_cache.models.network import load_network
from mdbound.logits_cache.models.pairing import plan_models
from mdbound.logits_cache.models.tokenizer import load_tokenizer
from tests.logits_cache.models import gguf_files
from tests.logits_cache.models.gguf_files import CASES, LLAMA, VOCAB_SIZE, GgufCase, write_gguf

gguf = pytest.importorskip("gguf")
pytest.importorskip("accelerate", reason="transformers reads .gguf files with it")

TOKENS = torch.from_numpy(np.random.default_rng(0).integers(0, 257, (2, 60)))
"""Longer than every window and rope switch of the cases."""


def written(folder: Path, case: GgufCase) -> tuple[Path, Any]:
    network = case.network()
    path = folder / "model.gguf"
    write_gguf(path, case, network)
    return path, network


def read(path: Path) -> Any:
    files = find_model(str(path))
    return load_network(files, read_shape(files).config, "float32", "cpu")[0]


def logits(network: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = network(TOKENS, use_cache=False).logits
    return found


@pytest.mark.parametrize("name", CASES)
def test_file_gives_the_models_logits(name: str, tmp_path: Path) -> None:
    path, network = written(tmp_path, CASES[name])
    expected = logits(network)
    assert expected.std() > 0.5, "weights so small that a lost one would not show"
    np.testing.assert_allclose(logits(read(path)), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("llama", {"rope__freq_base": 10_000.0}),
        ("llama linear", {"rope__scaling__factor": 2.0}),
        ("qwen2 yarn", {"rope__scaling__factor": 2.0}),
        ("qwen2 yarn", {"rope__scaling__attn_factor": 1.2}),
        ("qwen2 yarn", {"rope__scaling__yarn_beta_slow": 0.01}),
        ("phi3", {"attention__sliding_window": 30}),
        ("phi3 longrope", {"rope__scaling__attn_factor": 1.0}),
        ("phi3 longrope", {"rope__scaling__original_context_length": 100}),
        ("gemma2", {"attn_logit_softcapping": 30.0}),
        ("gemma2", {"final_logit_softcapping": 30.0}),
        ("gemma2", {"attention__sliding_window": 40}),
        ("gemma3", {"attention__sliding_window": 40}),
        ("gemma3", {"rope__scaling__factor": 2.0}),
        ("gemma3", {"rope__freq_base_swa": 3000.0}),
        ("stablelm", {"rope__dimension_count": 8}),
        ("starcoder2", {"rope__freq_base": 10_000.0}),
        ("qwen2moe", {"expert_used_count": 3}),
        ("mamba", {"attention__layer_norm_rms_epsilon": 0.1}),
    ],
)  # fmt: skip
def test_each_key_is_applied(name: str, change: dict[str, Any], tmp_path: Path) -> None:
    case = CASES[name]
    network = case.network()
    plain, changed = tmp_path / "plain.gguf", tmp_path / "changed.gguf"
    write_gguf(plain, case, network)
    write_gguf(changed, case.with_keys(**change), network)
    assert (logits(read(plain)) - logits(read(changed))).abs().max() > 1e-2


@pytest.mark.parametrize(("name", "layers"), [("gemma2", 46), ("gemma3", 62)])
def test_the_largest_gemmas_scale_scores_by_width(name: str, layers: int, tmp_path: Path) -> None:
    case = CASES[name]
    path, _ = written(tmp_path, case.with_keys(block_count=layers))
    assert read_shape(find_model(str(path))).config.query_pre_attn_scalar == 32 // 4
    path, _ = written(tmp_path, case)
    assert read_shape(find_model(str(path))).config.query_pre_attn_scalar == 16


def test_rope_factors_of_llama_3_equal_the_librarys_own(tmp_path: Path) -> None:
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaled = {
        "rope_type": "llama3", "rope_theta": 5000.0, "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
    }  # fmt: skip
    case = replace(LLAMA, config={**LLAMA.config, "rope_parameters": scaled})
    network = case.network()
    plain = 1.0 / 5000.0 ** (torch.arange(0, 8, 2) / 8)
    factors = plain / ROPE_INIT_FUNCTIONS["llama3"](network.config, "cpu")[0]
    assert factors.max() > 7.9
    path, without = tmp_path / "with.gguf", tmp_path / "without.gguf"
    write_gguf(path, replace(case, tensors={"rope_freqs.weight": factors.numpy()}), network)
    write_gguf(without, case, network)
    expected = logits(network)
    np.testing.assert_allclose(logits(read(path)), expected, rtol=0, atol=1e-4)
    assert (logits(read(without)) - expected).abs().max() > 1e-1


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("llama", {"attn_logit_softcapping": 50.0}, r"llama\.attn_logit_softcapping = 50\.0"),
        ("llama", {"attention__sliding_window": 16}, r"llama\.attention\.sliding_window = 16"),
        ("llama", {"expert_count": 8}, r"llama\.expert_count = 8"),
        ("llama", {"attention__scale": 0.5}, r"llama\.attention\.scale = 0\.5"),
        ("llama", {"rope__scaling__type": "dynamic"}, r"rope\.scaling\.type = 'dynamic'"),
        ("llama", {"rope__dimension_count": 4}, r"llama\.rope\.dimension_count = 4"),
        ("llama", {"rope__scale_linear": 4.0}, r"llama\.rope\.scale_linear = 4\.0"),
        ("llama", {"feed_forward_length": [48, 48, 32]}, r"feed_forward_length = \[48, 48, 32\]"),
        ("qwen2moe", {"expert_weights_scale": 2.0}, r"qwen2moe\.expert_weights_scale = 2\.0"),
        ("gpt2", {"rope__freq_base": 1e4}, r"gpt2\.rope\.freq_base = 10000\.0"),
        ("llama linear", {"rope__scaling__factor": None},
         r"does not say llama\.rope\.scaling\.factor"),
        ("llama linear", {"rope__scaling__yarn_log_multiplier": 0.1}, "yarn_log_multiplier"),
    ],
)  # fmt: skip
def test_what_is_not_applied_is_refused_by_key(
    name: str, change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path, _ = written(tmp_path, CASES[name].with_keys(**change))
    with pytest.raises(ModelError, match=message):
        read_shape(find_model(str(path)))


def test_keys_that_say_nothing_are_let_through(tmp_path: Path) -> None:
    case = LLAMA.with_keys(
        expert_count=0, rope__scaling__finetuned=True, attention__head_count_kv=[2, 2, 2]
    )
    path, _ = written(tmp_path, case)
    config = read_shape(find_model(str(path))).config
    assert (config.num_key_value_heads, config.rope_parameters["rope_type"]) == (2, "default")


@pytest.mark.parametrize(
    ("tensor", "shape"),
    [
        ("blk.0.attn_q.bias", (32,)),
        ("blk.1.ffn_gate_exps.weight", (2, 48, 32)),
        ("mtp.0.weight", (4,)),
        ("rope_factors_long.weight", (4,)),
    ],
)
def test_tensor_without_a_place_is_refused_by_name(
    tensor: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    path, _ = written(tmp_path, replace(LLAMA, tensors={tensor: np.ones(shape)}))
    with pytest.raises(ModelError, match=f"LlamaForCausalLM has no place for: {tensor}"):
        read(path)


def test_tensors_that_are_missing_are_refused_by_name(tmp_path: Path) -> None:
    path, _ = written(tmp_path, LLAMA.with_keys(block_count=4))
    with pytest.raises(ModelError, match=r"lacks weights .*model\.layers\.3\..* and 6 more"):
        read(path)


@pytest.mark.parametrize("factors", [np.ones(3), np.array([1.0, 2.0, 0.0, 4.0])])
def test_rope_factors_that_do_not_fit(factors: np.ndarray, tmp_path: Path) -> None:
    path, _ = written(tmp_path, replace(LLAMA, tensors={"rope_freqs.weight": factors}))
    with pytest.raises(ModelError, match=r"rope_freqs\.weight that does not fit"):
        read(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("general.type", "adapter", r"no language model \(general\.type = 'adapter'\)"),
        ("clip.vision.embedding_length", 8, r"no language model \(clip\.vision"),
        ("split.count", 3, "is one of 3 files of a split model"),
    ],
)
def test_files_that_hold_no_whole_model(
    key: str, value: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = gguf_files.add_vocabulary

    def with_key(writer: Any) -> None:
        plain(writer)
        {str: writer.add_string, int: writer.add_uint32}[type(value)](key, value)

    monkeypatch.setattr(gguf_files, "add_vocabulary", with_key)
    path, _ = written(tmp_path, LLAMA)
    with pytest.raises(ModelError, match=message):
        read_shape(find_model(str(path)))


def test_architecture_that_nobody_checked(tmp_path: Path) -> None:
    path, _ = written(tmp_path, replace(LLAMA, architecture="deci"))
    with pytest.raises(ModelError, match=r"is a deci model; .* llama, qwen2, .* safetensors"):
        read_shape(find_model(str(path)))


def test_file_that_is_no_gguf(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"not a model at all")
    with pytest.raises(ModelError, match="cannot be loaded"):
        plan_models(str(path), (), (), device="cpu", dtype="float32")


def test_vocabulary_and_name(tmp_path: Path) -> None:
    path, _ = written(tmp_path, LLAMA)
    path = path.rename(tmp_path / "small.Q8.gguf")
    files = find_model(str(path))
    assert (files.kind, files.short_name) == ("gguf", "small.Q8")
    models = plan_models(str(path), (), (), device="cpu", dtype="float32")
    # Transformers adds an end-of-text token of its own, which the model has no logits for.
    assert models.vocab_size == VOCAB_SIZE
    the = models.tokenizer.encode("the").input_ids
    assert [models.tokenizer.tokens[token] for token in the] == ["th", "e"]


def test_the_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gguf.gguf_reader import GGUFReader

    read_files = []
    plain = GGUFReader._build_fields

    def build_fields(self: Any, *arguments: Any) -> Any:
        read_files.append(self)
        return plain(self, *arguments)

    path, _ = written(tmp_path, LLAMA)
    forget_readers()
    monkeypatch.setattr(GGUFReader, "_build_fields", build_fields)
    files = find_model(str(path))
    load_tokenizer(files)
    load_network(files, read_shape(files).config, "float32", "cpu")
    assert len(read_files) == 1
    assert gguf.GGUFReader is GGUFReader  # what was put in its place is taken out again
    # It is let go with the weights, and a file that changed is read again.
    read_shape(files)
    assert len(read_files) == 2
    write_gguf(path, LLAMA, LLAMA.network())
    read_shape(files)
    assert len(read_files) == 3
