"""Edges of sequences and the law of the text through a capture, and what the manifest says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mdbound.bounds import Warpers
from mdbound.errors import InvalidSettingError, ModelError
from mdbound.logits_cache import LogitsCache
from mdbound.logits_cache.capturing.add_drafts import add_drafts
from mdbound.logits_cache.capturing.capture import capture
from mdbound.logits_cache.capturing.settings import CaptureSettings
from mdbound.logits_cache.store.manifest import EdgesRecord
from tests.logits_cache.capturing.test_capture import contents
from tests.logits_cache.small_models import (
    BEGIN,
    END,
    TARGET_WIDTH,
    VOCAB_SIZE,
    byte_tokenizer,
    edged_tokenizer,
    llama,
    save_model,
)

SettingsFor = Callable[..., CaptureSettings]
TEXT = "Ten words are not many, but they are enough here."


@pytest.fixture(scope="module")
def edged(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model whose tokenizer puts `<s>` before a text and `</s>` after it."""
    tokenizer = edged_tokenizer(ends=True, chat_template=None)
    return save_model(tmp_path_factory.mktemp("edged"), llama(TARGET_WIDTH, 3, 7), tokenizer)


@pytest.fixture
def text_file(tmp_path: Path) -> str:
    path = tmp_path / "text.jsonl"
    texts = [TEXT, f"<s>{TEXT}", "Short."]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return str(path)


def sequences(cache: Path) -> list[dict[str, Any]]:
    opened = LogitsCache.open(cache)
    return [row for shard in opened.shards for row in opened.read_documents(shard)]


def scoring(settings_for: SettingsFor, edged: str, text: str, **changes: Any) -> CaptureSettings:
    given = {"target": edged, "drafts": (), "skip_layers": ((1,),), "text": (text,)}
    return settings_for(mode="score", max_new_tokens=None, **{**given, **changes})


def test_windows_are_scored_with_their_beginning(
    settings_for: SettingsFor, edged: str, text_file: str
) -> None:
    from transformers import AutoModelForCausalLM

    settings = scoring(settings_for, edged, text_file, max_context=16)
    capture(settings)
    rows = sequences(settings.out)
    assert {tuple(row["token_ids"][:1]) for row in rows} == {(BEGIN,)}
    assert {row["token_ids"][-1] for row in rows}.isdisjoint({END})
    assert [row["ended_by"] for row in rows].count("text") == 3
    network = AutoModelForCausalLM.from_pretrained(edged)
    with torch.inference_mode():
        read = [network(torch.tensor([row["token_ids"][:-1]])).logits[0] for row in rows]
        parts = [one[row["first_row"] :, :VOCAB_SIZE] for one, row in zip(read, rows, strict=True)]
        expected = torch.cat(parts)
    stored = contents(settings.out)
    np.testing.assert_allclose(stored["target"], expected.numpy(), rtol=0, atol=2e-5)
    # Both long texts are the same tokens, so they have the same rows.
    whole = list(byte_tokenizer()(TEXT).input_ids)
    positions = [row["position"] for row in stored["positions"] if row["doc_id"] == 1]
    assert positions == list(range(len(whole)))
    assert [row["next_token_id"] for row in stored["positions"] if row["doc_id"] == 1] == whole
    edges = LogitsCache.open(settings.out).manifest.generation.edges
    assert edges == EdgesRecord(("<s>",), ("</s>",), True, doubled=1, trailing=3)


def test_windows_without_their_beginning_are_other_logits(
    settings_for: SettingsFor, edged: str, text_file: str
) -> None:
    """The control of the test above: a window without `<s>` is far off."""
    begun = scoring(settings_for, edged, text_file, max_context=16)
    capture(begun)
    bare = replace(begun, window_bos=False, out=begun.out.with_name("bare"))
    capture(bare)
    later = sequences(bare.out)[1]
    assert later["first_row"] == 0
    assert later["token_ids"][0] != BEGIN
    one, other = contents(begun.out)["target"], contents(bare.out)["target"]
    assert one.shape == other.shape
    np.testing.assert_allclose(one[:16], other[:16], rtol=0, atol=2e-5)  # the first window
    assert np.abs(one[16:32] - other[16:32]).max() > 0.1
    edges = LogitsCache.open(bare.out).manifest.generation.edges
    assert edges is not None
    assert edges.windows is False
    with pytest.raises(InvalidSettingError, match=r"generation\.windows = True, not False"):
        capture(replace(begun, window_bos=False))


def test_a_draft_added_later_reads_the_same_windows(
    settings_for: SettingsFor, edged: str, text_file: str
) -> None:
    at_once = scoring(settings_for, edged, text_file, max_context=16, skip_layers=((1,), (0,)))
    capture(at_once)
    grown = scoring(settings_for, edged, text_file, max_context=16)
    grown = replace(grown, out=grown.out.with_name("grown"))
    capture(grown)
    add_drafts(grown.out, [], [(0,)], target=edged, device="cpu", batch_size=2)
    assert np.array_equal(contents(grown.out)["skip-0"], contents(at_once.out)["skip-0"])


def test_answers_follow_the_text_and_not_an_end_token(
    settings_for: SettingsFor, edged: str, text_file: str
) -> None:
    settings = settings_for(
        target=edged, drafts=(), skip_layers=((1,),), text=(text_file,), max_new_tokens=40
    )
    capture(settings)
    rows = sequences(settings.out)
    for row, text in zip(rows, (TEXT, TEXT, "Short."), strict=True):
        prompt = row["token_ids"][: row["first_row"] + 1]
        assert prompt == [BEGIN, *byte_tokenizer()(text).input_ids]
        answer = row["token_ids"][row["first_row"] + 1 :]
        assert row["ended_by"] == ("end_token" if answer[-1] == END else "limit")
        assert (len(answer) == 40) or answer[-1] == END
    manifest = LogitsCache.open(settings.out).manifest
    assert manifest.generation.edges == EdgesRecord(("<s>",), ("</s>",), None, 1, 3, 0)


def test_an_answer_ends_by_its_end_token_or_by_its_limit(
    settings_for: SettingsFor, edged: str, text_file: str
) -> None:
    """Both happen: at a temperature so high that an end token comes soon in some answers."""
    many = Path(text_file).with_name("many.jsonl")
    many.write_text("".join(json.dumps({"text": f"Text {i}"}) + "\n" for i in range(40)))
    settings = settings_for(
        target=edged, drafts=(), skip_layers=((1,),), text=(str(many),),
        max_new_tokens=40, temperature=30.0, batch_size=40,
    )  # fmt: skip
    capture(settings)
    endings = {"end_token": 0, "limit": 0}
    for row in sequences(settings.out):
        answer = row["token_ids"][row["first_row"] + 1 :]
        assert (row["ended_by"] == "end_token") == (answer[-1] == END)
        assert answer.index(END) == len(answer) - 1 if END in answer else len(answer) == 40
        endings[row["ended_by"]] += 1
    assert min(endings.values()) > 0


def test_an_older_cache_does_not_know_how_it_ended(tmp_path: Path) -> None:
    cache = LogitsCache.open(Path(__file__).parents[1] / "store" / "data" / "cache_v1")
    assert {row["ended_by"] for row in cache.read_documents(cache.shards[0])} == {"unknown"}
    assert cache.manifest.generation.edges is None


@pytest.mark.parametrize(
    "cut", [{"top_k": 3}, {"top_p": 0.5}, {"min_p": 0.2}, {"top_k": 9, "top_p": 0.8, "min_p": 0.1}]
)
def test_answers_are_of_the_law_that_the_manifest_says(
    settings_for: SettingsFor, cut: dict[str, Any]
) -> None:
    """Support and draws by the warpers of transformers, on logits of its model alone."""
    from transformers import AutoModelForCausalLM, GenerationConfig

    settings = settings_for(temperature=1.3, **cut)
    capture(settings)
    manifest = LogitsCache.open(settings.out).manifest
    assert manifest.generation.warpers == Warpers(1.3, **cut).as_dict()
    network = AutoModelForCausalLM.from_pretrained(settings.target)
    warp = network._get_logits_processor(
        GenerationConfig(do_sample=True, temperature=1.3, top_k=cut.get("top_k"),
                         top_p=cut.get("top_p"), min_p=cut.get("min_p")),
    )  # fmt: skip
    outside = 0
    for row in sequences(settings.out):
        tokens, first = row["token_ids"], row["first_row"]
        with torch.inference_mode():
            logits = network(torch.tensor([tokens])).logits[0, first:-1, :VOCAB_SIZE].double()
        rng = np.random.default_rng([settings.seed, row["doc_id"]])
        for place, scores in enumerate(logits):
            p = torch.softmax(warp(torch.tensor([tokens]), scores[None])[0], 0).numpy()
            drawn = int(np.searchsorted(np.cumsum(p), rng.random(), side="right"))
            assert tokens[first + 1 + place] == drawn
            outside += int(drawn != int(scores.argmax()))
    assert outside > 0  # it is not the most likely token every time


def test_another_law_is_another_capture(settings_for: SettingsFor) -> None:
    capture(settings_for(top_k=5))
    assert capture(settings_for(top_k=5)).new_positions == 0
    with pytest.raises(InvalidSettingError, match=r"generation\.top_k = 5, not None"):
        capture(settings_for())
    with pytest.raises(InvalidSettingError, match=r"generation\.min_p = None, not 0.1"):
        capture(settings_for(top_k=5, min_p=0.1))


def test_laws_and_conversations_are_about_answers(settings_for: SettingsFor) -> None:
    for change in ({"top_k": 5}, {"top_p": 0.5}, {"min_p": 0.5}, {"system": "s"}, {"turns": 1},
                   {"history": "target"}):  # fmt: skip
        (name,) = change
        with pytest.raises(InvalidSettingError, match=f"`{name}` is about answers; add `mode` gen"):
            capture(settings_for(mode="score", max_new_tokens=None, **change))


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_is_not_positive_is_no_limit(
    settings_for: SettingsFor, tmp_path: Path, limit: int
) -> None:
    """Configurations of models without learned positions say 0 or -1: it was taken for a window
    of no token, and nothing was captured."""
    folder = tmp_path / "m"
    save_model(folder, llama(TARGET_WIDTH, 2, 0), byte_tokenizer())
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["max_position_embeddings"] = limit
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    settings = scoring(settings_for, str(folder), "python-docs:held-out", limit=1)
    summary = capture(replace(settings, max_positions=300))
    assert summary.positions == 300
    with pytest.raises((ModelError, InvalidSettingError)):
        capture(replace(settings, max_context=0))
