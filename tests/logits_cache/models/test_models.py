from __future__ import annotations

import json
import shutil
import types
from pathlib import Path
from typing import Any

import pytest
import torch

from mdbound.errors import InvalidSettingError, ModelError
from mdbound.logits_cache.capturing.score import score_passages
from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.models.model_files import find_model
from mdbound.logits_cache.models.pairing import PlannedModels, plan_models
from mdbound.logits_cache.models.placement import resolve_device, resolve_dtype
from mdbound.logits_cache.models.weights import load_drafts, load_target
from mdbound.logits_cache.text.passages import Passage
from tests.logits_cache.small_models import (
    TARGET_WIDTH,
    VOCAB_SIZE,
    byte_tokenizer,
    llama,
    save_model,
)


def plan(target: str, *drafts: str, skip: tuple[tuple[int, ...], ...] = ()) -> PlannedModels:
    return plan_models(target, drafts, skip, device="cpu", dtype="float32")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("tiny:huge", "there are tiny:target and tiny:draft"),
        ("./absent", "no model folder './absent'"),
        ("/no/such/folder", "no model folder"),
        ("absent.gguf", "no model file absent.gguf"),
        ("two words", "no model folder"),
    ],
)
def test_unknown_models(source: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        find_model(source)


def test_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        find_model(str(tmp_path))


def test_hub_that_does_not_answer_costs_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def model_info(*args: Any, **kwargs: Any) -> None:
        calls.append(kwargs)
        raise ConnectionError("name or service not known")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", model_info)
    with pytest.raises(ModelError, match=r"hub did not give it .name or service not known"):
        find_model("nobody/nothing")
    (call,) = calls
    assert call["timeout"] <= 30


def test_hub_model_becomes_a_folder(
    pair: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = tmp_path / commit
    shutil.copytree(pair[1], folder)
    downloads = []

    def snapshot_download(name: str, revision: str, allow_patterns: list[str]) -> str:
        downloads.append((name, revision, "*.safetensors" in allow_patterns))
        return str(folder)

    files = [types.SimpleNamespace(rfilename="model.safetensors")]
    info = types.SimpleNamespace(sha=commit, siblings=files)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: info)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    found = find_model("someone/small-lm@v1")
    assert downloads == [("someone/small-lm", commit, True)]
    assert (found.kind, found.revision, found.short_name) == ("hub", commit, "small-lm")
    assert plan(found.location).vocab_size == VOCAB_SIZE


def test_downloaded_hub_model_needs_no_network(
    pair: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "fedcba"
    shutil.copytree(pair[1], folder)
    config = str(folder / "config.json")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: config)
    assert find_model("someone/small-lm").revision == "fedcba"
    # A download that stopped half-way is not taken for a model.
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: 1 / 0)
    with pytest.raises(ModelError, match="hub did not give it"):
        find_model("someone/small-lm")


def test_broken_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "no-such-model"}', encoding="utf-8")
    byte_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelError, match="cannot be loaded"):
        plan(str(tmp_path))


def test_different_tokenizers_are_refused(tmp_path: Path, pair: tuple[str, str]) -> None:
    other = save_model(tmp_path / "x", llama(TARGET_WIDTH, 1, 0), byte_tokenizer(("extra",)))
    with pytest.raises(ModelError, match=r"token 256 is '<s>' for .* and 'extra' for"):
        plan(pair[0], other)


def test_too_few_logits_are_refused(tmp_path: Path, pair: tuple[str, str]) -> None:
    narrow = save_model(tmp_path / "x", llama(VOCAB_SIZE - 1, 1, 0), byte_tokenizer())
    with pytest.raises(ModelError, match="257 logits for a vocabulary of 258 tokens"):
        plan(pair[0], narrow)
    # A target that lacks logits for the tokenizer's last tokens decides the vocabulary itself.
    assert plan(narrow, pair[1]).vocab_size == VOCAB_SIZE - 1


@pytest.mark.parametrize("skipped", [(4,), (-1,), (1, 1), (0, 1, 2, 3), ()])
def test_layers_that_cannot_be_skipped(pair: tuple[str, str], skipped: tuple[int, ...]) -> None:
    with pytest.raises(InvalidSettingError, match="`skip_layers`"):
        plan(pair[0], skip=(skipped,))


def test_a_model_that_cannot_skip_layers(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, XLMConfig

    config = XLMConfig(
        vocab_size=TARGET_WIDTH, emb_dim=32, n_layers=3, n_heads=4, causal=True, asm=False
    )
    network = AutoModelForCausalLM.from_config(config)
    models = plan(save_model(tmp_path / "xlm", network, byte_tokenizer()), skip=((1,),))
    target = load_target(models, VOCAB_SIZE)
    assert logits_of(target, (1, 2, 3)).shape == (2, VOCAB_SIZE)  # whole, it runs
    with pytest.raises(
        ModelError, match=r"does not run without some of its layers .*`skip_layers`"
    ):
        load_drafts(models, VOCAB_SIZE, target)


def test_same_draft_twice(pair: tuple[str, str]) -> None:
    with pytest.raises(InvalidSettingError, match="'small' is asked for twice"):
        plan(pair[0], pair[1], pair[1])


def test_drafts_of_one_name_are_told_apart(tmp_path: Path, pair: tuple[str, str]) -> None:
    other = save_model(tmp_path / "small", llama(TARGET_WIDTH, 1, 5), byte_tokenizer())
    models = plan(pair[0], pair[1], other, skip=((1, 2),))
    assert [draft.record.name for draft in models.drafts] == ["small", "small-2", "skip-1-2"]


def test_devices_and_types(pair: tuple[str, str]) -> None:
    shape = plan(pair[0]).target.shape
    assert resolve_dtype("auto", "cpu", shape) == "float32"
    assert resolve_dtype("bfloat16", "cpu", shape) == "bfloat16"
    with pytest.raises(InvalidSettingError, match="`dtype` 'int3' is unknown"):
        resolve_dtype("int3", "cpu", shape)
    with pytest.raises(InvalidSettingError, match="`device` 'abacus' cannot be used"):
        resolve_device("abacus")


def logits_of(model: LanguageModel, tokens: tuple[int, ...]) -> torch.Tensor:
    (scored,) = score_passages(model, [Passage(0, "t", 0, 0, tokens)])
    return torch.from_numpy(scored[1])


def test_skipping_layers_shares_weights_and_leaves_the_target_alone(
    pair: tuple[str, str],
) -> None:
    models = plan(pair[0], skip=((0, 2), (1,)))
    target = load_target(models, VOCAB_SIZE)
    tokens = tuple(range(40, 60))
    before = logits_of(target, tokens)
    first, second = load_drafts(models, VOCAB_SIZE, target)
    assert torch.equal(logits_of(target, tokens), before)
    assert len(target.network.model.layers) == 4
    owned = {parameter.data_ptr() for parameter in target.network.parameters()}
    for draft in (first, second):
        assert {parameter.data_ptr() for parameter in draft.network.parameters()} <= owned
    # The same network, built the slow way.
    twin = load_target(plan(pair[0]), VOCAB_SIZE).network
    twin.model.layers = torch.nn.ModuleList([twin.model.layers[1], twin.model.layers[3]])
    expected = twin(torch.tensor([tokens[:-1]]), use_cache=False).logits[0, :, :VOCAB_SIZE]
    assert torch.equal(logits_of(first, tokens), expected)
    assert not torch.allclose(logits_of(second, tokens), before)


def test_skipped_layers_keep_key_value_caches_right(pair: tuple[str, str]) -> None:
    models = plan(pair[0], skip=((0, 2),))
    (draft,) = load_drafts(models, VOCAB_SIZE)
    tokens = torch.tensor([list(range(50, 70))])
    whole = draft.network(tokens, use_cache=False).logits
    cached = draft.network(tokens[:, :9], use_cache=True)
    rest = draft.network(tokens[:, 9:], past_key_values=cached.past_key_values, use_cache=True)
    assert torch.allclose(rest.logits, whole[:, 9:], atol=1e-5)


def test_layer_types_follow_the_kept_layers(tmp_path: Path) -> None:
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    torch.manual_seed(0)
    config = Gemma3TextConfig(
        vocab_size=TARGET_WIDTH, hidden_size=32, intermediate_size=48, num_hidden_layers=4,
        num_attention_heads=2, num_key_value_heads=1, head_dim=16, sliding_window=8,
        layer_types=["sliding_attention", "full_attention"] * 2,
    )  # fmt: skip
    source = save_model(tmp_path, Gemma3ForCausalLM(config), byte_tokenizer())
    (draft,) = load_drafts(plan(source, skip=((0,),)), VOCAB_SIZE)
    kept = draft.network.config.get_text_config()
    assert kept.layer_types == ["full_attention", "sliding_attention", "full_attention"]
    assert logits_of(draft, tuple(range(30))).isfinite().all()
