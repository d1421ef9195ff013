"""Weights are all there or the model is refused by name, and nothing of its folder runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mdbound.errors import ModelError
from mdbound.logits_cache import LogitsCache
from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.models.model_files import find_model
from mdbound.logits_cache.models.pairing import plan_models
from mdbound.logits_cache.models.weights import load_drafts, load_target
from tests.logits_cache.models.small_architectures import network
from tests.logits_cache.small_models import TARGET_WIDTH, byte_tokenizer, llama, save_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.set_num_threads(1)
    return Path(save_model(tmp_path / "model", llama(TARGET_WIDTH, 3, 0), byte_tokenizer()))


def configure(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**raw, **changes}), encoding="utf-8")


def rewrite(folder: Path, drop: tuple[str, ...] = (), **more: torch.Tensor) -> None:
    """Leave weights out, and put others in."""
    path = folder / "model.safetensors"
    kept = {name: value for name, value in load_file(path).items() if name not in drop}
    save_file({**kept, **more}, path, metadata={"format": "pt"})


def load(folder: Path, **options: Any) -> LanguageModel:
    planned = plan_models(str(folder), (), (), device="cpu", dtype="float32", **options)
    return load_target(planned, 258)


def test_configuration_deeper_than_its_checkpoint(folder: Path) -> None:
    configure(folder, num_hidden_layers=5)
    message = r"model '.*model' lacks weights .*: model\.layers\.3\.\S+, .* and 15 more; they would"
    with pytest.raises(ModelError, match=message):
        load(folder)


def test_checkpoint_without_head(folder: Path) -> None:
    rewrite(folder, drop=("lm_head.weight",))
    with pytest.raises(ModelError, match=r"lacks weights .*: lm_head\.weight; they would be drawn"):
        load(folder)


def test_drafts_are_held_to_the_same(folder: Path, tmp_path: Path) -> None:
    draft = Path(save_model(tmp_path / "draft", llama(TARGET_WIDTH, 1, 1), byte_tokenizer()))
    rewrite(draft, drop=("model.norm.weight",))
    planned = plan_models(str(folder), (str(draft),), (), device="cpu", dtype="float32")
    with pytest.raises(ModelError, match=r"model '.*draft' lacks weights .*: model\.norm\.weight"):
        load_drafts(planned, 258)


def test_weights_of_another_shape(folder: Path) -> None:
    configure(folder, intermediate_size=40)
    message = r"of other shapes .*down_proj\.weight \(32, 48\), not \(32, 40\), .* and 6 more"
    with pytest.raises(ModelError, match=message):
        load(folder)


def test_tied_weights_are_not_missing(tmp_path: Path) -> None:
    made = network("llama", {"tie_word_embeddings": True})
    source = Path(save_model(tmp_path / "tied", made, byte_tokenizer()))
    assert "lm_head.weight" not in load_file(source / "model.safetensors")
    loaded = load(source)
    assert torch.equal(loaded.network.lm_head.weight, made.model.embed_tokens.weight)
    assert loaded.record.unused_weights == ()


def test_tensors_that_are_not_used_are_listed(folder: Path) -> None:
    extra = {f"vision.{index}.weight": torch.zeros(2) for index in range(5)}
    rewrite(folder, **extra)
    loaded = load(folder)
    assert loaded.record.unused_weights == tuple(sorted(extra))
    from mdbound.cli.probe_table import model_notes

    (note,) = model_notes([loaded.record])
    shown = "vision.0.weight, vision.1.weight, vision.2.weight and 2 more."
    assert note == f"target: tensors of its files that it has no place for: {shown}"


def pickled(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def named_by_index(folder: Path) -> None:
    pickled(folder)
    index = {"weight_map": {"lm_head.weight": "pytorch_model.bin"}}
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(index), encoding="utf-8")


def named_by_configuration(folder: Path) -> None:
    (folder / "adapter_model.bin").write_bytes(b"x")
    configure(folder, transformers_weights="adapter_model.bin")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (pickled, "pytorch_model.bin"),
        (named_by_index, "pytorch_model.bin"),
        (named_by_configuration, "adapter_model.bin"),
    ],
)
def test_pickles_are_refused(change: Any, name: str, folder: Path) -> None:
    change(folder)
    with pytest.raises(ModelError, match=f"has its weights in {name}, a pickle") as refused:
        find_model(str(folder))
    assert "weights_only" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_pickles_of_the_hub_are_not_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [types.SimpleNamespace(rfilename=name) for name in ("config.json", "model.bin")]
    info = types.SimpleNamespace(sha="0" * 40, siblings=files)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: info)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: 1 / 0)
    with pytest.raises(ModelError, match=r"'someone/old' has its weights in model\.bin, a pickle"):
        find_model("someone/old")


def test_pickles_beside_safetensors_are_not_read(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"no pickle at all")
    assert load(folder).record.unused_weights == ()


def test_folders_without_weights_and_adapters(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match=r"has an adapter \(adapter_config\.json\)"):
        find_model(str(folder))
    (folder / "adapter_config.json").unlink()
    (folder / "model.safetensors.index.json").write_text("[]", encoding="utf-8")
    assert find_model(str(folder)).kind == "folder"  # the single file comes first
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="is no index of weights"):
        find_model(str(folder))
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(ModelError, match=r"has no weights; its folder holds no model\.safetensors"):
        find_model(str(folder))


CODE = """
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

Path({mark!r}).write_text("code of the folder ran")


class OddConfig(LlamaConfig):
    model_type = "odd"


class OddModel(LlamaForCausalLM):
    config_class = OddConfig


class OddTokenizer(PreTrainedTokenizerFast):
    pass
"""
CONFIG = {"AutoConfig": "odd.OddConfig", "AutoModelForCausalLM": "odd.OddModel"}
TOKENIZER = {"AutoTokenizer": ["odd.OddTokenizer", "odd.OddTokenizer"]}


def with_code(folder: Path, mark: Path, where: str) -> None:
    """Let the configuration, or the tokenizer, name code that leaves a mark."""
    (folder / "odd.py").write_text(CODE.format(mark=str(mark)), encoding="utf-8")
    if where == "configuration":
        configure(folder, model_type="odd", auto_map=CONFIG)
        return
    path = folder / "tokenizer_config.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    odd = {"tokenizer_class": "OddTokenizer", "auto_map": TOKENIZER}
    path.write_text(json.dumps({**raw, **odd}), encoding="utf-8")


def capture(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run the command with somebody on standard input who agrees to everything."""
    out = folder.parent
    (out / "text.txt").write_text("Some words to read.", encoding="utf-8")
    command = [sys.executable, "-m", "mdbound", "capture", "--target", str(folder)]
    options = ["--draft-skip-layers", "1", "--text", str(out / "text.txt"), "--device", "cpu"]
    return subprocess.run(
        [*command, *options, "--out", str(out / "cache"), *more],
        input="y\ny\n",
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HOME": str(out / "home")},
        check=False,
    )


@pytest.mark.parametrize("where", ["configuration", "tokenizer"])
def test_code_of_a_folder_runs_by_the_flag_alone(where: str, folder: Path) -> None:
    mark = folder.parent / "mark"
    with_code(folder, mark, where)
    done = capture(folder)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "needs code that lies in its folder, and nothing of it was run; read it, and " in (
        done.stderr
    )
    assert "give --trust-remote-code if you trust it" in done.stderr
    assert not mark.exists()
    assert not (folder.parent / "cache").exists()
    # The same with the flag: the mark shows that nothing but the refusal kept it away.
    done = capture(folder, "--trust-remote-code")
    assert done.returncode == 0, done.stderr
    assert mark.exists()
    manifest = LogitsCache.open(folder.parent / "cache").manifest
    assert [record.trust_remote_code for record in manifest.models()] == [True, True]
    assert manifest.settings()["target.trust_remote_code"] is True


def test_code_beside_a_model_that_the_library_knows_is_not_run(folder: Path) -> None:
    mark = folder.parent / "mark"
    (folder / "odd.py").write_text(CODE.format(mark=str(mark)), encoding="utf-8")
    configure(folder, auto_map=CONFIG)  # its model type stays llama
    done = capture(folder)
    assert done.returncode == 0, done.stderr
    assert not mark.exists()
    manifest = LogitsCache.open(folder.parent / "cache").manifest
    assert not any(record.trust_remote_code for record in manifest.models())


def test_code_is_part_of_what_is_trusted(folder: Path) -> None:
    plain, trusted = (find_model(str(folder), trust_remote_code=trust) for trust in (False, True))
    (folder / "odd.py").write_text("x = 1\n", encoding="utf-8")
    assert find_model(str(folder)) == plain
    assert find_model(str(folder), trust_remote_code=True).revision != trusted.revision
    assert not find_model("tiny:target", trust_remote_code=True).trust_remote_code


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
def test_kernels_of_the_hub_are_code_too(key: str, folder: Path) -> None:
    written = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(written | {key: "somebody/attention"}))
    with pytest.raises(ModelError, match=r"code of the hub \(somebody/attention\)"):
        plan_models(str(folder), (), (), device="cpu", dtype="float32")
    (folder / "config.json").write_text(json.dumps(written | {key: "eager"}))
    assert plan_models(str(folder), (), (), device="cpu", dtype="float32").target.shape.layers == 3
