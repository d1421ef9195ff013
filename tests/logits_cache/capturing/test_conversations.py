"""Conversations through a capture: later turns, histories, system prompts, room and resuming."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from mdbound.errors import InvalidSettingError, TextSourceError
from mdbound.logits_cache import LogitsCache
from mdbound.logits_cache.capturing.add_drafts import add_drafts
from mdbound.logits_cache.capturing.capture import capture
from mdbound.logits_cache.capturing.settings import CaptureSettings
from tests.logits_cache.capturing.test_capture import (
    Interrupted,
    assert_same,
    contents,
    stop_after,
)
from tests.logits_cache.small_models import (
    CHAT_TEMPLATE,
    TARGET_WIDTH,
    byte_tokenizer,
    llama,
    save_model,
)

SettingsFor = Callable[..., CaptureSettings]

TALKS: list[dict[str, Any]] = [
    {"turns": ["Why?", "And then?", "So?"]},
    {"turns": ["One question"]},
    {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "Bye"},
        ]
    },
    {"conversations": [{"from": "human", "value": "Ask"}, {"from": "gpt", "value": "Told"}]},
]


@pytest.fixture
def talks(tmp_path: Path) -> str:
    path = tmp_path / "talks.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in TALKS), encoding="utf-8")
    return str(path)


def answers_of(cache: Path) -> list[tuple[int, str, list[int], str]]:
    """Document, prompt, answer and ending of every sequence, in their order."""
    opened = LogitsCache.open(cache)
    tokenizer = byte_tokenizer()
    return [
        (
            row["doc_id"],
            tokenizer.decode(row["token_ids"][: row["first_row"] + 1]),
            row["token_ids"][row["first_row"] + 1 :],
            row["ended_by"],
        )
        for shard in opened.shards
        for row in opened.read_documents(shard)
    ]


def said(answer: list[int]) -> str:
    return str(byte_tokenizer().decode(answer, skip_special_tokens=True))


def test_answers_of_the_target_become_history(settings_for: SettingsFor, talks: str) -> None:
    settings = settings_for(text=(talks,), batch_size=3)
    capture(settings)
    found = answers_of(settings.out)
    assert [doc_id for doc_id, *_ in found] == [0, 0, 0, 1, 2, 3]
    (_, first, one, _), (_, second, two, _), (_, third, _, _) = found[:3]
    assert first == "[user] Why? [assistant] "
    assert second == f"[user] Why?[assistant] {said(one)}[user] And then? [assistant] "
    assert third == (
        f"[user] Why?[assistant] {said(one)}[user] And then?[assistant] {said(two)}"
        "[user] So? [assistant] "
    )
    # Answers that the record holds stay; what stands after the last question is not read.
    assert found[4][1] == ("[system] Be brief.[user] Hi[assistant] Hello.[user] Bye [assistant] ")
    assert found[5][1] == "[user] Ask [assistant] "
    manifest = LogitsCache.open(settings.out).manifest
    assert (manifest.text.prompts, manifest.text.history) == (6, "given")
    assert manifest.turns_left_out == 0


def test_logits_of_later_turns_are_the_models(settings_for: SettingsFor, talks: str) -> None:
    from transformers import AutoModelForCausalLM

    settings = settings_for(text=(talks,))
    capture(settings)
    frame = pl.DataFrame(contents(settings.out)["positions"])
    assert frame.select("doc_id", "position").is_unique().all()
    assert frame["doc_id"].is_sorted()
    opened = LogitsCache.open(settings.out)
    rows = [row for shard in opened.shards for row in opened.read_documents(shard)]
    stored = contents(settings.out)
    for name, source in (("target", settings.target), ("small", settings.drafts[0])):
        network = AutoModelForCausalLM.from_pretrained(source)
        with torch.inference_mode():
            expected = [
                network(torch.tensor([row["token_ids"]])).logits[0, row["first_row"] : -1, :258]
                for row in rows
            ]
        np.testing.assert_allclose(stored[name], torch.cat(expected).numpy(), atol=2e-5)


def test_each_turn_is_sampled_by_itself(settings_for: SettingsFor, talks: str) -> None:
    """Whatever else is in the batch: a document alone has the same answers."""
    together = settings_for(text=(talks,), batch_size=4)
    capture(together)
    alone = replace(
        settings_for(text=(talks,), limit=1, batch_size=1), out=together.out / ".." / "1"
    )
    capture(alone)
    assert answers_of(alone.out) == answers_of(together.out)[:3]
    assert len({tuple(answer) for _, _, answer, _ in answers_of(alone.out)}) == 3


def test_the_target_answers_every_turn_if_asked(settings_for: SettingsFor, talks: str) -> None:
    settings = settings_for(text=(talks,), history="target", turns=2)
    capture(settings)
    found = answers_of(settings.out)
    assert [doc_id for doc_id, *_ in found] == [0, 0, 1, 2, 2, 3]
    assert found[3][1] == "[system] Be brief.[user] Hi [assistant] "
    answer = said(found[3][2])
    assert found[4][1] == (
        f"[system] Be brief.[user] Hi[assistant] {answer}[user] Bye [assistant] "
    )
    manifest = LogitsCache.open(settings.out).manifest
    assert (manifest.text.history, manifest.text.turns, manifest.text.prompts) == ("target", 2, 6)


def test_a_system_prompt_goes_before_conversations_without_one(
    settings_for: SettingsFor, talks: str
) -> None:
    settings = settings_for(text=(talks,), system="Think.", turns=1)
    capture(settings)
    prompts = [prompt for _, prompt, _, _ in answers_of(settings.out)]
    assert prompts[0] == "[system] Think.[user] Why? [assistant] "
    assert prompts[2] == "[system] Be brief.[user] Hi [assistant] "
    manifest = LogitsCache.open(settings.out).manifest
    assert manifest.settings()["text.system"] == "Think."
    with pytest.raises(InvalidSettingError, match=r"text\.system = 'Think\.', not None"):
        capture(settings_for(text=(talks,), turns=1))


def test_an_interrupted_conversation_resumes_to_the_same_bytes(
    settings_for: SettingsFor, talks: str, pair: tuple[str, str]
) -> None:
    whole = settings_for(text=(talks,), shard_rows=5, batch_size=1, drafts=(), skip_layers=((1,),))
    whole = replace(whole, out=whole.out.with_name("whole"))
    summary = capture(whole)
    assert len(LogitsCache.open(whole.out).shards) == 4
    broken = replace(whole, out=whole.out.with_name("broken"))
    with pytest.raises(Interrupted):
        capture(broken, stop_after(2))
    kept = LogitsCache.open(broken.out).manifest
    # Three sequences of one prompt that was planned.
    assert [(shard.documents, shard.planned) for shard in kept.shards] == [(3, 1)]
    assert 0 < capture(broken).new_positions < summary.positions
    assert_same(contents(broken.out), contents(whole.out))
    assert capture(broken).new_positions == 0


def test_a_draft_added_later_reads_the_same_turns(
    settings_for: SettingsFor, talks: str, pair: tuple[str, str]
) -> None:
    at_once = settings_for(text=(talks,), skip_layers=((1,),), batch_size=3)
    at_once = replace(at_once, out=at_once.out.with_name("at-once"))
    capture(at_once)
    grown = settings_for(text=(talks,), skip_layers=((1,),), batch_size=3, drafts=())
    capture(grown)
    add_drafts(grown.out, [pair[1]], target=pair[0], device="cpu", batch_size=3)
    one, other = contents(grown.out), contents(at_once.out)
    for name in ("positions", "target", "small", "skip-1"):
        assert np.array_equal(one[name], other[name]), name


def test_a_conversation_ends_where_its_next_prompt_has_no_room(
    settings_for: SettingsFor, talks: str
) -> None:
    settings = settings_for(text=(talks,), max_context=76)
    summary = capture(settings)
    found = answers_of(settings.out)
    assert [doc_id for doc_id, *_ in found] == [0, 0, 1, 2, 3]
    assert summary.turns_left_out == 1
    assert capture(settings).turns_left_out == 1  # said again when there is nothing left to do


def test_a_conversation_ends_at_the_limit_of_positions(
    settings_for: SettingsFor, talks: str
) -> None:
    settings = settings_for(text=(talks,), max_positions=9)
    summary = capture(settings)
    rows = pl.DataFrame(contents(settings.out)["positions"]).group_by("doc_id").len()
    assert rows.sort("doc_id")["len"].max() == 9
    endings = [(doc_id, len(answer), why) for doc_id, _, answer, why in answers_of(settings.out)]
    assert endings[:2] == [(0, 6, "limit"), (0, 3, "limit")]
    assert summary.turns_left_out == 1


def test_positions_stay_distinct_where_a_template_forgets(
    settings_for: SettingsFor, talks: str, tmp_path: Path
) -> None:
    """As templates do that drop earlier thoughts: here, all but the last message."""
    forgetful = CHAT_TEMPLATE.replace("in messages", "in messages[-1:]")
    target = save_model(
        tmp_path / "m", llama(TARGET_WIDTH, 2, 0), byte_tokenizer(chat_template=forgetful)
    )
    settings = settings_for(target=target, text=(talks,), drafts=(), skip_layers=((1,),))
    capture(settings)
    frame = pl.DataFrame(contents(settings.out)["positions"])
    assert frame.select("doc_id", "position").is_unique().all()
    for _, rows in frame.group_by("doc_id", maintain_order=True):
        assert rows["position"].is_sorted()


def test_a_template_that_raises_is_one_refusal(
    settings_for: SettingsFor, talks: str, tmp_path: Path
) -> None:
    strict = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}" + CHAT_TEMPLATE
    )
    target = save_model(
        tmp_path / "m", llama(TARGET_WIDTH, 2, 0), byte_tokenizer(chat_template=strict)
    )
    settings = settings_for(target=target, text=(talks,), drafts=(), skip_layers=((1,),))
    message = r"line 3, the chat template refuses messages of system, user, .*System role not supp"
    with pytest.raises(TextSourceError, match=message):
        capture(settings)
    with pytest.raises(TextSourceError, match="line 1, the chat template refuses"):
        capture(replace(settings, system="Think."))
    assert not settings.out.exists()


def test_a_broken_template_is_one_refusal(
    settings_for: SettingsFor, talks: str, tmp_path: Path
) -> None:
    broken = byte_tokenizer(chat_template="{{ messages[0]['content'] + 1 }}")
    target = save_model(tmp_path / "m", llama(TARGET_WIDTH, 2, 0), broken)
    with pytest.raises(TextSourceError, match="the chat template refuses messages of user"):
        capture(settings_for(target=target, text=(talks,), drafts=(), skip_layers=((1,),)))


def test_conversations_are_scored_in_the_template(settings_for: SettingsFor, talks: str) -> None:
    settings = settings_for(mode="score", text=(talks,), max_new_tokens=None)
    capture(settings)
    opened = LogitsCache.open(settings.out)
    rows = [row for shard in opened.shards for row in opened.read_documents(shard)]
    texts = [byte_tokenizer().decode(row["token_ids"]) for row in rows]
    assert texts[0] == "Why?"  # turns without roles: the first, as a text
    assert texts[2] == "[system] Be brief.[user] Hi[assistant] Hello.[user] Bye"
    assert texts[3] == "[user] Ask[assistant] Told"
    assert opened.manifest.generation.chat_template is True


def test_turns_without_a_template_are_refused(
    settings_for: SettingsFor, talks: str, tmp_path: Path
) -> None:
    plain = save_model(tmp_path / "m", llama(272, 1, 0), byte_tokenizer(chat_template=None))
    with pytest.raises(InvalidSettingError, match="give `turns` 1 to ask the first alone"):
        capture(settings_for(target=plain, text=(talks,)))
    with pytest.raises(InvalidSettingError, match="`system` goes into a chat template"):
        capture(settings_for(target=plain, text=(talks,), system="Think."))
    capture(settings_for(target=plain, text=(talks,), turns=1, limit=2))
    assert [prompt for _, prompt, _, _ in answers_of(settings_for().out)] == [
        "Why?",
        "One question",
    ]
