"""The probe itself, on a healthy network and on ones that are made faulty."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mdbound.cli import main
from mdbound.errors import ModelError
from mdbound.logits_cache import LogitsCache
from mdbound.logits_cache.capturing.score import score_passages
from mdbound.logits_cache.models.pairing import plan_models
from mdbound.logits_cache.models.probe.length_switch import length_switch, windows
from mdbound.logits_cache.models.probe.probe import TOLERANCE, probe_network
from mdbound.logits_cache.models.probe.sequences import LONGEST, probe_sequences
from mdbound.logits_cache.models.weights import load_drafts, load_target
from mdbound.logits_cache.store.manifest import Manifest, ModelRecord
from mdbound.logits_cache.store.probe_record import ProbeRecord
from mdbound.logits_cache.text.passages import Passage, pad_batch
from tests.logits_cache.models.small_architectures import CAUSAL, network, saved
from tests.logits_cache.small_models import byte_tokenizer, llama, save_model

Spoil = Callable[[torch.Tensor, dict[str, Any]], torch.Tensor]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def probed(made: Any, dtype: str = "float32") -> ProbeRecord:
    return probe_network(
        made, dtype=dtype, device="cpu", pad_id=0, vocab_size=250, avoided={0, 1}, name="small",
        decodes=True,
    )  # fmt: skip


def spoilt(spoil: Spoil) -> Any:
    """A healthy network whose logits are changed for what it is called with."""
    made = network("llama", {})
    plain = made.forward

    # The library's own names, which the probe looks for.
    def forward(
        input_ids: Any = None, attention_mask: Any = None, position_ids: Any = None,
        past_key_values: Any = None, use_cache: Any = None,
    ) -> Any:  # fmt: skip
        given = {
            "input_ids": input_ids, "attention_mask": attention_mask,
            "position_ids": position_ids, "past_key_values": past_key_values,
        }  # fmt: skip
        output = plain(**given, use_cache=use_cache)
        output.logits = spoil(output.logits, given)
        return output

    made.forward = forward
    return made


def padded_at(given: dict[str, Any], column: int) -> torch.Tensor:
    """Which sequences of a batch that is read are padded there; shape (B, 1, 1)."""
    mask = given["attention_mask"]
    if mask is None or given["past_key_values"] is not None:
        return torch.zeros(1, 1, 1)
    return (mask[:, column] == 0).to(torch.float32)[:, None, None]


def beside_filled(given: dict[str, Any]) -> torch.Tensor:
    """Which sequences are padded left beside one without padding, shape (B, 1, 1)."""
    padded = padded_at(given, 0)
    mask = given["attention_mask"]
    return padded if mask is not None and bool((mask != 0).all(dim=1).any()) else 0 * padded


def untouched(logits: torch.Tensor, given: dict[str, Any]) -> torch.Tensor:
    return logits


def enlarged(logits: torch.Tensor, given: dict[str, Any]) -> torch.Tensor:
    return 1000 * logits


def test_a_healthy_network() -> None:
    found = probed(spoilt(untouched))
    assert found.disagreements == {}
    assert set(found.differences) == {
        "suffix_removed", "position_ids", "left_padded", "right_padded", "beside_longer",
        "key_value_cache",
    }  # fmt: skip
    assert (found.batch_length, found.cache_length, found.length_switch) == (None, None, None)
    assert found.tolerance >= TOLERANCE["float32"]


@pytest.mark.parametrize("size", [0.5, 2.0])
@pytest.mark.parametrize(
    ("concerns", "names"),
    [
        (lambda given: given["position_ids"] is not None and given["past_key_values"] is None,
         {"position_ids"}),
        (lambda given: padded_at(given, 0), {"left_padded", "beside_longer"}),
        (lambda given: padded_at(given, -1), {"right_padded"}),
        (beside_filled, {"beside_longer"}),
        (lambda given: given["past_key_values"] is not None, {"key_value_cache"}),
    ],
)  # fmt: skip
def test_a_difference_counts_beyond_the_tolerance(
    concerns: Callable[[dict[str, Any]], Any], names: set[str], size: float
) -> None:
    tolerance = probed(spoilt(untouched)).tolerance
    found = probed(spoilt(lambda logits, given: logits + size * tolerance * concerns(given)))
    assert set(found.disagreements) == (names if size > 1 else set())
    assert (found.position_ids == "own") == (size > 1 and "position_ids" in names)
    padded = {"left_padded", "right_padded", "beside_longer"}
    assert (found.batch_length == 0) == (size > 1 and bool(names & padded))
    assert (found.cache_length == 0) == (size > 1 and "key_value_cache" in names)


def test_tolerance_follows_large_logits_and_the_type() -> None:
    plain = probed(spoilt(untouched)).tolerance
    larger = probed(spoilt(enlarged)).tolerance
    assert larger == pytest.approx(1000 * plain, rel=0.5)
    assert probed(network("llama", {}).to(torch.bfloat16), "bfloat16").tolerance >= 0.1


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(dtype: str) -> None:
    kind = getattr(torch, dtype)
    assert probed(network("llama", {}).to(kind), dtype).disagreements == {}
    found = probed(network("rwkv", {}).to(kind), dtype)
    assert set(found.disagreements) == {"left_padded", "beside_longer"}


def test_a_run_that_fails_is_a_finding() -> None:
    def spoil(logits: torch.Tensor, given: dict[str, Any]) -> torch.Tensor:
        if given["input_ids"].shape[0] > 1:
            raise IndexError("no batches here")
        return logits

    found = probed(spoilt(spoil))
    assert found.disagreements == {
        "left_padded": None, "right_padded": None, "beside_longer": None
    }  # fmt: skip
    assert (found.batch_length, found.cache_length) == (0, None)


def test_a_network_that_cannot_be_run_is_named() -> None:
    def spoil(logits: torch.Tensor, given: dict[str, Any]) -> torch.Tensor:
        raise IndexError("index 7\nis out of range")

    with pytest.raises(ModelError, match=r"'small' \(Llama.*IndexError: index 7 is out of range\)"):
        probed(spoilt(spoil))


def test_numbers_that_are_none_are_left_to_the_capture() -> None:
    """Broken weights are named with the position where they show."""
    inf = float("inf")
    mask = torch.zeros(300)
    mask[3], mask[4], mask[5] = float("nan"), -inf, inf

    def everywhere(logits: torch.Tensor, given: dict[str, Any]) -> torch.Tensor:
        return logits + mask

    def in_batches(logits: torch.Tensor, given: dict[str, Any]) -> torch.Tensor:
        return logits + mask if given["input_ids"].shape[0] > 1 else logits

    assert probed(spoilt(everywhere)).disagreements == {}
    found = probed(spoilt(in_batches))
    assert found.disagreements.keys() == {"left_padded", "right_padded", "beside_longer"}


@pytest.mark.parametrize(
    ("parameters", "switch"),
    [
        ({"rope_type": "default"}, None),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}, None),
        ({"rope_type": "longrope", "original_max_position_embeddings": 32}, 32),
        ({"rope_type": "longrope"}, 64),
        ({"rope_type": "dynamic"}, 4096),
        ({"sliding_attention": {"rope_type": "default"},
          "full_attention": {"rope_type": "dynamic"}}, 4096),
        (None, None),
    ],
)  # fmt: skip
def test_switches_that_configurations_name(parameters: Any, switch: int | None) -> None:
    config = SimpleNamespace(
        rope_parameters=parameters,
        max_position_embeddings=4096,
        original_max_position_embeddings=64,
    )
    assert length_switch(config) == switch


def test_sequences_reach_windows_and_switches_that_are_near() -> None:
    assert windows(SimpleNamespace(sliding_window=6, attention_chunk_size=None)) == [6]
    for switch, attended, expected in [
        (None, [], (8, 11)), (None, [100], (103, 106)), (None, [4096], (8, 11)),
        (16, [], (8, 19)), (4, [], (4, 7)), (LONGEST - 3, [], (8, LONGEST)),
        (4096, [], (8, 11)), (50, [60], (50, 53)),
    ]:  # fmt: skip
        short, longer = probe_sequences(9, {4}, switch, attended)
        assert (len(short), len(longer)) == expected
        assert 4 not in longer
        assert longer[: len(short)] == short


def test_a_vocabulary_of_next_to_nothing() -> None:
    short, longer = probe_sequences(2, {0, 1}, None, [])
    assert (len(short), len(longer)) == (8, 11)


def test_a_switch_out_of_reach_is_taken_from_the_configuration() -> None:
    rope = {
        "rope_type": "longrope", "rope_theta": 10_000.0, "short_factor": [1.0] * 4,
        "long_factor": [4.0] * 4, "original_max_position_embeddings": 4096,
    }  # fmt: skip
    made = network(
        "phi3",
        {"rope_parameters": rope, "original_max_position_embeddings": 4096,
         "max_position_embeddings": 131_072},
    )  # fmt: skip
    found = probed(made)
    assert (found.batch_length, found.cache_length, found.length_switch) == (4096, 4096, 4096)
    assert found.disagreements == {}
    assert found.may_share_batch(4096)
    assert not found.may_share_batch(4097)
    assert found.may_use_cache(4096)
    assert not found.may_use_cache(4097)


def test_any_token_that_can_be_read_pads(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    assert tokenizer.pad_token_id == 258
    source = save_model(tmp_path, llama(258, 3, 0), tokenizer)
    model = load_target(plan_models(source, (), (), device="cpu", dtype="float32"), 258)
    assert model.pad_id == 257  # the end of a text, which the network can read
    ragged = [Passage(0, "t", 0, 0, tuple(range(9))), Passage(1, "t", 0, 3, tuple(range(4, 90)))]
    for item, logits in score_passages(model, ragged):
        with torch.inference_mode():
            alone = model.network(torch.tensor([item.token_ids[:-1]])).logits[0].numpy()
        np.testing.assert_allclose(logits, alone[item.first_row :], rtol=0, atol=1e-4)


def test_padding_counts_no_further_than_its_sequence() -> None:
    batch = pad_batch([[5, 6, 7], [8], [9, 9, 9, 9]], [1, 0, 1], pad_id=0, device="cpu")
    assert batch.position_ids.tolist() == [[0, 1, 2, 2], [0, 0, 0, 0], [0, 1, 2, 3]]


def test_prompts_at_the_end_of_learned_positions(tmp_path: Path) -> None:
    """A long prompt beside a long answer: padding must not need positions there are none of."""
    source = saved(tmp_path, "gpt2", {"n_positions": 32, "max_position_embeddings": ...})
    model = load_target(plan_models(source, (), (), device="cpu", dtype="float32"), 258)
    ragged = [Passage(0, "t", 0, 29, tuple(range(31))), Passage(1, "t", 0, 1, tuple(range(31)))]
    assert [logits.shape[0] for _, logits in score_passages(model, ragged)] == [1, 29]


def test_layers_that_cannot_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = saved(tmp_path, "llama", {})
    planned = plan_models(source, (), ((1,),), device="cpu", dtype="float32")
    target = load_target(planned, 258)
    (draft,) = load_drafts(planned, 258, target)
    assert draft.record.probe is not None
    assert draft.record.probe.disagreements == {}

    def broken(made: Any, skipped: Any) -> Any:
        made.model.layers[0].self_attn.forward = lambda *_, **__: 1 / 0
        return made

    monkeypatch.setattr("mdbound.logits_cache.models.weights.without_layers", broken)
    with pytest.raises(ModelError, match=r"model 'skip-1' .* cannot be run \(ZeroDivisionError"):
        load_drafts(planned, 258, target)


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run_command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mdbound", *arguments])
        with pytest.raises(SystemExit) as exit_info:
            main()
        status = exit_info.value.code
        assert isinstance(status, int)
        return (status, *capsys.readouterr())

    return run_command


def captured(run: Any, target: str, draft: str) -> tuple[int, str, str]:
    Path("text.txt").write_text("Some words to read, and some more of them.", encoding="utf-8")
    found: tuple[int, str, str] = run(
        "capture", "--target", target, "--draft", draft, "--text", "text.txt", "--device", "cpu",
        "--max-context", "12", "--out", "cache",
    )  # fmt: skip
    return found


def test_manifest_and_info_say_what_was_found(run: Any, tmp_path: Path) -> None:
    target = saved(tmp_path, "llama", {})
    draft = saved(tmp_path, "rwkv", CAUSAL["rwkv"] | {"context_length": 64})
    assert captured(run, target, draft)[0] == 0
    raw = json.loads(Path("cache/manifest.json").read_text(encoding="utf-8"))
    assert raw["target"]["probe"]["batch_length"] is None
    found = raw["drafts"][0]["probe"]
    assert found["batch_length"] == found["cache_length"] == 0
    assert found["position_ids"] == "none"
    assert found["differences"]["left_padded"] > 0.1
    manifest = LogitsCache.open("cache").manifest
    assert manifest.drafts[0].probe == ProbeRecord(**found)
    _, text, _ = run("info", "cache")
    lines = [line for line in text.splitlines() if "rwkv" in line]
    assert "one sequence at a time" in lines[-1]
    assert "reads only" in lines[-1]
    assert f"padded left {found['differences']['left_padded']:.2g}" in lines[-1]
    content = json.loads(run("info", "cache", "--json")[1])
    assert content["models"][1]["probe"]["differences"] == found["differences"]
    # Run again, it has nothing to do, whatever the probe of another machine would have measured.
    raw["target"]["probe"]["differences"]["left_padded"] = 1e-7
    Path("cache/manifest.json").write_text(json.dumps(raw), encoding="utf-8")
    assert LogitsCache.open("cache").manifest.identity() == manifest.identity()
    assert "nothing left to do" in captured(run, target, draft)[1]


def test_a_model_that_is_refused_leaves_no_cache(run: Any, tmp_path: Path) -> None:
    target, draft = saved(tmp_path, "llama", {}), saved(tmp_path, "bert", {})
    status, _, error = captured(run, target, draft)
    assert (status, error.count("\n")) == (2, 1)
    assert "bert' (BertLMHeadModel) is not causal" in error
    assert not Path("cache/manifest.json").exists()
    assert captured(run, target, target)[0] == 0  # nothing stands in the way of another draft
    before = Path("cache/manifest.json").read_bytes()
    adding = ["capture", "--into", "cache", "--target", target, "--draft", draft]
    assert run(*adding, "--device", "cpu")[0] == 2
    assert Path("cache/manifest.json").read_bytes() == before


def test_older_caches_were_not_probed(run: Any) -> None:
    import shutil

    shutil.copytree(Path(__file__).parents[2] / "store" / "data" / "cache_v1", "old")
    manifest = Manifest.read(Path("old"))
    assert [record.probe for record in manifest.models()] == [None, None]
    _, text, _ = run("info", "old")
    assert text.count("not probed") == 2


def test_findings_are_no_settings() -> None:
    record = ModelRecord("target", "m", "folder", "f" * 64, "float32", 300)
    found = replace(record, probe=ProbeRecord(12, 1e-3), unused_weights=("a",))
    assert found == record
    assert found.settings() == record.settings()
    trusting = replace(record, trust_remote_code=True)
    assert trusting != record
    assert trusting.settings() == {**record.settings(), "trust_remote_code": True}


@pytest.mark.parametrize("change", [{"position_ids": "counting"}, {"unheard": 1}])
def test_a_damaged_record_is_refused(run: Any, change: dict[str, Any]) -> None:
    import shutil

    from mdbound.errors import CacheError

    shutil.copytree(Path(__file__).parents[2] / "store" / "data" / "cache_v1", "old")
    raw = json.loads(Path("old/manifest.json").read_text(encoding="utf-8"))
    raw["target"]["probe"] = {"longest": 12, "tolerance": 1e-3, **change}
    Path("old/manifest.json").write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(CacheError, match="is damaged"):
        Manifest.read(Path("old"))
