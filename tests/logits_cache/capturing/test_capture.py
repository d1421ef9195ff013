from __future__ import annotations

import errno
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
import torch

from mdbound.bounds import Warpers
from mdbound.errors import (
    CacheError,
    InvalidDistributionError,
    InvalidSettingError,
    ModelError,
    OutputError,
)
from mdbound.logits_cache import LogitsCache
from mdbound.logits_cache.capturing.add_drafts import add_drafts
from mdbound.logits_cache.capturing.capture import capture
from mdbound.logits_cache.capturing.progress import CaptureProgress
from mdbound.logits_cache.capturing.settings import CaptureSettings
from mdbound.logits_cache.store.atomic_files import only_writer
from tests.logits_cache.conftest import PROMPTS
from tests.logits_cache.small_models import (
    TARGET_WIDTH,
    VOCAB_SIZE,
    byte_tokenizer,
    llama,
    save_model,
)

SettingsFor = Callable[..., CaptureSettings]


class Interrupted(Exception):
    pass


def stop_after(batches: int) -> Callable[[CaptureProgress], None]:
    calls = []

    def on_progress(progress: CaptureProgress) -> None:
        calls.append(progress)
        if len(calls) > batches:
            raise Interrupted

    return on_progress


def contents(cache: Path) -> dict[str, Any]:
    batches = list(LogitsCache.open(cache).iter_batches())
    names = batches[0].logits
    return {
        "positions": pl.concat([batch.positions for batch in batches]).to_dicts(),
        **{name: np.concatenate([batch.logits[name] for batch in batches]) for name in names},
    }


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert np.array_equal(value, other[name]), name


def test_generate_mode_records_both_models_on_the_answers(settings_for: SettingsFor) -> None:
    from transformers import AutoModelForCausalLM

    settings = settings_for()
    summary = capture(settings)
    cache = LogitsCache.open(settings.out)
    assert cache.draft_names == ("small",)
    assert cache.vocab_size == VOCAB_SIZE  # cut from 272 and 264
    assert cache.manifest.target.logits_width == TARGET_WIDTH
    assert summary.positions == summary.new_positions == cache.num_positions
    data = contents(settings.out)
    frame = pl.DataFrame(data["positions"])
    assert frame.group_by("doc_id").len()["len"].max() <= 6
    assert frame["task"].unique().sort().to_list() == ["maths", "qa", "questions"]
    tokenizer = byte_tokenizer()
    for source, name in ((settings.target, "target"), (settings.drafts[0], "small")):
        network = AutoModelForCausalLM.from_pretrained(source)
        for doc_id, record in enumerate(PROMPTS):
            prompt = tokenizer(f"[user] {record['turns'][0]} [assistant] ").input_ids
            rows = frame["doc_id"] == doc_id
            answer = frame.filter(rows)["next_token_id"].to_list()
            assert frame.filter(rows)["token_id"].to_list() == [prompt[-1], *answer[:-1]]
            assert frame.filter(rows)["position"][0] == len(prompt) - 1
            with torch.inference_mode():
                logits = network(torch.tensor([prompt + answer])).logits[0]
            expected = logits[len(prompt) - 1 : -1, :VOCAB_SIZE].numpy()
            np.testing.assert_allclose(data[name][rows.to_numpy()], expected, atol=2e-5)


def test_score_mode_records_every_position(settings_for: SettingsFor, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The quick brown fox jumps over the lazy dog.", encoding="utf-8")
    settings = settings_for(mode="score", text=(str(text),), max_new_tokens=None, max_context=16)
    capture(settings)
    frame = pl.DataFrame(contents(settings.out)["positions"])
    tokens = byte_tokenizer()("The quick brown fox jumps over the lazy dog.").input_ids
    assert frame["position"].to_list() == list(range(len(tokens) - 1))
    assert frame["token_id"].to_list() == tokens[:-1]
    assert frame["next_token_id"].to_list() == tokens[1:]
    assert LogitsCache.open(settings.out).manifest.generation.max_context == 16


def test_manifest_says_what_was_captured(settings_for: SettingsFor) -> None:
    settings = settings_for(skip_layers=((0, 2),), temperature=0.5)
    capture(settings)
    raw = json.loads((settings.out / "manifest.json").read_text(encoding="utf-8"))
    assert raw["complete"] is True
    assert [draft["name"] for draft in raw["drafts"]] == ["small", "skip-0-2"]
    assert raw["drafts"][1]["skipped_layers"] == [0, 2]
    assert raw["generation"]["warpers"] == Warpers(0.5).as_dict()
    assert raw["generation"]["chat_template"] is True
    assert raw["versions"]["torch"]
    (shard,) = raw["shards"]
    assert set(shard["files"]) == {
        "documents", "positions", "target", "draft-small", "draft-skip-0-2",
    }  # fmt: skip


def test_shards_hold_the_same_rows_for_every_model(settings_for: SettingsFor) -> None:
    settings = settings_for(shard_rows=5)
    capture(settings)
    shards = LogitsCache.open(settings.out).shards
    assert len(shards) == 3
    for shard in shards:
        part = f"part-{shard.index:05d}.parquet"
        positions = pq.read_table(settings.out / "positions" / part)
        for folder in ("target", "draft-small"):
            own = pq.read_table(settings.out / folder / part, columns=["doc_id", "position"])
            assert own.equals(positions.select(["doc_id", "position"]))


def test_interrupted_capture_resumes_to_the_same_bytes(settings_for: SettingsFor) -> None:
    whole = settings_for()
    whole = replace(whole, out=whole.out.with_name("whole"), shard_rows=5)
    capture(whole)
    broken = settings_for(shard_rows=5)
    with pytest.raises(Interrupted):
        capture(broken, stop_after(2))
    interrupted = LogitsCache.open(broken.out)
    assert not interrupted.manifest.complete
    assert len(interrupted.shards) == 1  # the shard in hand is lost, the finished one is not
    assert not list(broken.out.rglob("*.partial"))
    summary = capture(broken)
    assert summary.new_positions < summary.positions
    assert_same(contents(broken.out), contents(whole.out))
    assert [s.files for s in LogitsCache.open(broken.out).shards] == [
        s.files for s in LogitsCache.open(whole.out).shards
    ]


def test_finished_capture_has_nothing_left_to_do(settings_for: SettingsFor) -> None:
    capture(settings_for())
    before = (settings_for().out / "manifest.json").read_bytes()
    assert capture(settings_for()).new_positions == 0
    assert (settings_for().out / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0.3}, "generation.temperature = 1.0, not 0.3"),
        ({"seed": 4}, "generation.seed = 0, not 4"),
        ({"limit": 2}, "text.documents = 5, not 2"),
        ({"dtype": "bfloat16"}, "drafts.small.dtype = 'float32', not 'bfloat16'"),
        ({"skip_layers": ((1,),)}, "drafts small, not small, skip-1; .* `add_drafts`"),
    ],
)
def test_other_settings_are_refused(
    settings_for: SettingsFor, change: dict[str, Any], message: str
) -> None:
    capture(settings_for())
    before = (settings_for().out / "manifest.json").read_bytes()
    with pytest.raises(InvalidSettingError, match=message):
        capture(settings_for(**change))
    assert (settings_for().out / "manifest.json").read_bytes() == before


def test_changed_text_is_refused(settings_for: SettingsFor, tmp_path: Path) -> None:
    text = tmp_path / "prompts.jsonl"
    text.write_text('{"text": "one"}\n', encoding="utf-8")
    capture(settings_for(text=(str(text),)))
    text.write_text('{"text": "two"}\n', encoding="utf-8")
    with pytest.raises(InvalidSettingError, match=r"text\.sha256"):
        capture(settings_for(text=(str(text),)))


def test_folder_with_other_files_is_left_alone(settings_for: SettingsFor) -> None:
    out = settings_for().out
    out.mkdir()
    (out / "thesis.tex").write_text("x", encoding="utf-8")
    with pytest.raises(InvalidSettingError, match="neither empty nor a logits cache"):
        capture(settings_for())


def test_second_writer_is_refused(settings_for: SettingsFor, pair: tuple[str, str]) -> None:
    settings = settings_for(drafts=(), skip_layers=((1,),))
    capture(settings)
    with only_writer(settings.out):
        with pytest.raises(CacheError, match="another process is writing to"):
            capture(settings)
        with pytest.raises(CacheError, match="another process is writing to"):
            add_drafts(settings.out, [pair[1]], target=pair[0], device="cpu")
    assert capture(settings).new_positions == 0


def test_full_disk_keeps_finished_shards(
    settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(shard_rows=5)
    written = []
    real = pq.ParquetWriter.write_table

    def write_table(self: Any, table: Any, *args: Any, **kwargs: Any) -> None:
        written.append(table)
        if len(written) > 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, table, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", write_table)
        with pytest.raises(OutputError, match=r"disk full while writing .*; free some space"):
            capture(settings)
    cache = LogitsCache.open(settings.out)
    cache.verify()
    assert len(cache.shards) == 1
    assert not list(settings.out.rglob("*.partial"))
    capture(settings)
    assert LogitsCache.open(settings.out).manifest.complete


def test_full_disk_while_writing_the_manifest_keeps_the_old_one(
    settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(shard_rows=5)
    with pytest.raises(Interrupted):
        capture(settings, stop_after(1))
    real = Path.write_text

    def write_text(self: Path, *args: Any, **kwargs: Any) -> int:
        if self.name.startswith("manifest.json"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", write_text)
        with pytest.raises(OutputError, match=r"disk full while writing .*manifest\.json"):
            capture(settings)
    LogitsCache.open(settings.out).verify()


def test_broken_draft_is_named(settings_for: SettingsFor, tmp_path: Path) -> None:
    network = llama(TARGET_WIDTH, 1, seed=3)
    with torch.no_grad():
        network.lm_head.weight[5, 2] = float("inf")
    broken = save_model(tmp_path / "broken", network, byte_tokenizer())
    settings = settings_for(drafts=(broken,))
    with pytest.raises(InvalidDistributionError, match=r"'broken'.*document 0, position"):
        capture(settings)
    assert not list(settings.out.rglob("*.parquet"))


def test_added_drafts_equal_those_captured_at_once(
    settings_for: SettingsFor, pair: tuple[str, str]
) -> None:
    at_once = settings_for(skip_layers=((0, 2),), shard_rows=5)
    at_once = replace(at_once, out=at_once.out.with_name("at-once"))
    capture(at_once)
    grown = settings_for(drafts=(), skip_layers=((0, 2),), shard_rows=5)
    capture(grown)
    with pytest.raises(Interrupted):
        add_drafts(
            grown.out, [pair[1]], target=pair[0], device="cpu", batch_size=2,
            on_progress=stop_after(2),
        )  # fmt: skip
    # Half a draft is not shown, and does not stand in the way of the others.
    assert LogitsCache.open(grown.out).draft_names == ("skip-0-2",)
    summary = add_drafts(grown.out, [pair[1]], target=pair[0], device="cpu", batch_size=2)
    assert 0 < summary.new_positions < summary.positions
    assert LogitsCache.open(grown.out).draft_names == ("skip-0-2", "small")
    assert_same(contents(grown.out), contents(at_once.out))
    # Once more, and the command that made the cache, find nothing to do.
    assert add_drafts(grown.out, [pair[1]], target=pair[0], device="cpu").new_positions == 0
    assert capture(grown).new_positions == 0
    LogitsCache.open(grown.out).verify()


def test_drafts_are_added_to_complete_caches_only(
    settings_for: SettingsFor, pair: tuple[str, str], tmp_path: Path
) -> None:
    settings = settings_for(shard_rows=5)
    with pytest.raises(Interrupted):
        capture(settings, stop_after(2))
    with pytest.raises(CacheError, match="finish it with the command that started it"):
        add_drafts(settings.out, [pair[1]])
    with pytest.raises(CacheError, match="no logits cache"):
        add_drafts(tmp_path / "absent", [pair[1]])
    with pytest.raises(InvalidSettingError, match="no draft"):
        add_drafts(settings.out, [])


def test_drafts_need_the_target_unchanged(settings_for: SettingsFor, tmp_path: Path) -> None:
    target = save_model(tmp_path / "m", llama(TARGET_WIDTH, 4, seed=0), byte_tokenizer())
    settings = settings_for(target=target)
    capture(settings)
    save_model(tmp_path / "m", llama(TARGET_WIDTH, 4, seed=9), byte_tokenizer())
    with pytest.raises(ModelError, match="has changed since the capture"):
        add_drafts(settings.out, [], [(1,)], target=target)


def test_target_of_a_cache_is_loaded_only_if_it_is_confirmed(
    settings_for: SettingsFor, pair: tuple[str, str], tmp_path: Path
) -> None:
    settings = settings_for(drafts=(), skip_layers=((1,),))
    capture(settings)
    path = settings.out / "manifest.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    raw["target"]["source"] = "/somewhere/else"
    path.write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(InvalidSettingError, match=r"target is '/somewhere/else'; give it as `tar"):
        add_drafts(settings.out, [pair[1]], device="cpu")
    with pytest.raises(ModelError, match="has changed since the capture"):
        add_drafts(settings.out, [pair[1]], target=pair[1], device="cpu")
    # Where the target is now, not where it was, is what counts.
    assert add_drafts(settings.out, [pair[1]], target=pair[0], device="cpu").new_positions > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "guess"}, "`mode` 'guess' is unknown"),
        ({"drafts": ()}, "no draft"),
        ({"text": ()}, "no text"),
        ({"temperature": -1.0}, "`temperature` is -1.0: give"),
        ({"temperature": float("nan")}, "`temperature` is nan: give"),
        ({"top_k": 0}, "`top_k` is 0: give"),
        ({"top_p": 1.5}, "`top_p` is 1.5: give"),
        ({"min_p": -0.5}, "`min_p` is -0.5: give"),
        ({"turns": 0}, "`turns` 0: give at least 1"),
        ({"history": "none"}, "`history` 'none' is unknown"),
        ({"window_bos": False}, "`window_bos` is about windows"),
        ({"seed": -1}, "`seed` -1"),
        ({"limit": 0}, "`limit` 0"),
        ({"batch_size": 0}, "`batch_size` 0"),
        ({"mode": "score"}, "`max_new_tokens` is about answers; add `mode` generate"),
        ({"max_context": 5000}, "made for at most 256 tokens"),
        ({"max_context": 20}, "raise `max_context`"),
    ],
)
def test_settings_out_of_range(
    settings_for: SettingsFor, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        capture(settings_for(**change))
    assert not settings_for().out.exists()


def test_chat_template_must_exist(settings_for: SettingsFor, tmp_path: Path) -> None:
    plain = save_model(tmp_path / "m", llama(272, 1, 0), byte_tokenizer(chat_template=None))
    with pytest.raises(ModelError, match="leave out `chat_template`"):
        capture(settings_for(target=plain, chat_template=True))
    capture(settings_for(target=plain))
    generation = LogitsCache.open(settings_for().out).manifest.generation
    assert generation.chat_template is False


def test_text_beyond_the_targets_vocabulary(settings_for: SettingsFor, tmp_path: Path) -> None:
    narrow = save_model(tmp_path / "m", llama(VOCAB_SIZE - 1, 1, 0), byte_tokenizer())
    text = tmp_path / "text.jsonl"
    text.write_text('{"text": "stop</s>"}\n', encoding="utf-8")
    with pytest.raises(ModelError, match="document 0 has token '</s>'"):
        capture(settings_for(target=narrow, text=(str(text),)))
