"""One rule for the edges of a sequence, on tokenizers that put tokens before, after, both, none."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mdbound.errors import InvalidSettingError, ModelError
from mdbound.logits_cache.text.conversations import Message
from mdbound.logits_cache.text.documents import Document
from mdbound.logits_cache.text.edges import Edges, find_edges
from mdbound.logits_cache.text.passages import PromptLimit, prompts, windows
from mdbound.logits_cache.text.sequences import EdgeCounts, Sequences, first_tokens
from tests.logits_cache.small_models import BEGIN, END, byte_tokenizer, edged_tokenizer

KINDS = {
    "none": byte_tokenizer,
    "begins": edged_tokenizer,
    "ends": lambda: edged_tokenizer(begins=False, ends=True),
    "both": lambda: edged_tokenizer(ends=True),
}


@pytest.fixture(params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]()


def expected_edges(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What stands around x, counted by hand."""
    ids = tokenizer("x").input_ids
    return (BEGIN,) if ids[0] == BEGIN else (), (END,) if ids[-1] == END else ()


def test_what_a_tokenizer_adds_is_found(tokenizer: Any) -> None:
    edges = find_edges(tokenizer)
    assert (edges.beginning, edges.ending) == expected_edges(tokenizer)
    assert edges.begin_token == BEGIN


def test_a_text_begins_once_and_ends_with_its_own_last_token(tokenizer: Any) -> None:
    beginning, ending = expected_edges(tokenizer)
    own = list(byte_tokenizer()("hi").input_ids)
    for text, written in (("hi", []), ("<s>hi", [BEGIN]), ("<s><s>hi", [BEGIN, BEGIN])):
        made = Sequences(tokenizer)
        assert made.of_text(text) == (written or list(beginning)) + own
        doubled = int(bool(written) and bool(beginning))
        assert made.counts == EdgeCounts(doubled=doubled, trailing=len(ending))
    assert Sequences(tokenizer).of_text("hi</s>")[-1] == END  # what the text says stays


def test_the_tokenizer_alone_would_double_and_append() -> None:
    """The faults that the rule is for."""
    both = edged_tokenizer(ends=True)
    assert both("<s>hi").input_ids[:2] == [BEGIN, BEGIN]
    assert both("hi").input_ids[-1] == END


@pytest.mark.parametrize(
    ("template", "begins", "doubled"),
    [
        ("{{ bos_token }}{{ messages[0]['content'] }}", 1, 0),
        ("{{ bos_token }}{{ bos_token }}{{ messages[0]['content'] }}", 1, 1),
        ("{{ messages[0]['content'] }}", 0, 0),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_template_says_how_it_begins(kind: str, template: str, begins: int, doubled: int) -> None:
    tokenizer = KINDS[kind]()
    tokenizer.chat_template = template
    made = Sequences(tokenizer)
    tokens = made.of_messages([Message("user", "hi")], "file", to_answer=True)
    assert tokens == [BEGIN] * begins + list(byte_tokenizer()("hi").input_ids)
    assert made.counts == EdgeCounts(doubled=doubled)


def test_prompts_that_end_in_an_end_token_are_counted() -> None:
    made = Sequences(edged_tokenizer(ends=True), end_tokens=(END,))
    documents = [Document(i, "t", text, "f") for i, text in enumerate(("hi", "bye</s>"))]
    asked = [((Message("user", each.text),),) for each in documents]
    limit = PromptLimit(None, 4, context_is_set=False)
    found = list(prompts(documents, asked, made, chat_template=False, limit=limit))
    assert [item.token_ids[-1] == END for item in found] == [False, True]
    assert made.counts == EdgeCounts(trailing=2, ended=1)


@pytest.mark.parametrize("max_context", [2, 3, 4, 7, 9, 10, 11, 100])
@pytest.mark.parametrize("text", ["abcdefghij", "<s>abcdefghij"])
@pytest.mark.parametrize("repeat", [True, False])
def test_later_windows_begin_as_the_first(
    tokenizer: Any, max_context: int, text: str, repeat: bool
) -> None:
    made = Sequences(tokenizer)
    parts = list(
        windows(
            [Document(3, "t", text, "f")], made,
            max_context=max_context, max_positions=None, repeat_beginning=repeat,
        )
    )  # fmt: skip
    whole = made.of_text(text)
    first = whole[:1] if whole[0] == BEGIN else []
    positions = np.concatenate([part.positions for part in parts]).tolist()
    assert positions == list(range(len(whole) - 1))
    for part in parts:
        assert len(part.token_ids) - 1 <= max_context
        begins = first if repeat or part is parts[0] else []
        assert list(part.token_ids[: len(begins)]) == begins
        # Each recorded row is of the token at its position, and predicts the next.
        recorded = part.token_ids[part.first_row : -1], part.token_ids[part.first_row + 1 :]
        assert list(recorded[0]) == [whole[place] for place in part.positions]
        assert list(recorded[1]) == [whole[place + 1] for place in part.positions]
    later = len(parts) - 1 if first else 0
    assert made.counts.later_windows == later


def test_a_beginning_that_fills_the_window_is_refused() -> None:
    made = Sequences(edged_tokenizer())
    one = {"max_context": 1, "max_positions": None}
    with pytest.raises(InvalidSettingError, match=r"leaves no room .* turn `window_bos` off"):
        list(windows([Document(0, "t", "abc", "f")], made, **one))
    parts = list(windows([Document(0, "t", "abc", "f")], made, **one, repeat_beginning=False))
    assert [len(part.token_ids) for part in parts] == [2, 2, 2]


def test_edges_that_cannot_be_told_are_refused() -> None:
    class Shuffling:
        bos_token_id = None

        def __call__(self, _: str, add_special_tokens: bool = True) -> Any:
            ids = [1, 2] if add_special_tokens else [2, 3]
            return type("Encoding", (), {"input_ids": ids})

    with pytest.raises(ModelError, match="cannot be told"):
        find_edges(Shuffling())


def test_a_beginning_of_several_tokens() -> None:
    edges = Edges((7, 8), (), 7)
    assert edges.begun([5]) == ([7, 8, 5], False)
    assert edges.begun([7, 8, 5]) == ([7, 8, 5], True)
    assert edges.begun([7, 5]) == ([7, 8, 7, 5], False)
    assert edges.begun_once([7, 8, 7, 8, 5]) == ([7, 8, 5], True)
    assert edges.first_tokens([7, 8, 5]) == (7, 8)


def merging_tokenizer() -> Any:
    """Byte pairs with merges of repeated letters, whose last token depends on what follows."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merged = ["aa", "aaaa", "aaaaaaaa", "ab", "Ġa", "ba", "bab"]
    pairs = [("a", "a"), ("aa", "aa"), ("aaaa", "aaaa"), ("a", "b"), ("Ġ", "a"), ("b", "a"),
             ("ba", "b")]  # fmt: skip
    vocabulary = {token: place for place, token in enumerate([*alphabet, *merged])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core)


def unigram_tokenizer() -> Any:
    """Most likely segmentation of the whole text, spaces and all."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = [("<unk>", 0.0), ("▁", -2.0), ("a", -3.0), ("b", -3.1), ("ab", -4.0), ("ba", -4.5),
              ("aba", -5.5), ("aa", -5.0), ("▁a", -4.0), ("bb▁", -6.0)]  # fmt: skip
    core = Tokenizer(models.Unigram(pieces, unk_id=0))
    core.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")


@pytest.mark.parametrize("make", [byte_tokenizer, merging_tokenizer, unigram_tokenizer])
@pytest.mark.parametrize("most", [1, 2, 9, 60, 400])
def test_the_first_tokens_are_those_of_the_whole_text(make: Any, most: int) -> None:
    tokenizer = make()
    rng = np.random.default_rng(most)
    letters = np.array(["a", "a", "a", "b", " "])
    for text in ("".join(rng.choice(letters, 9000)), "a" * 9000, "ab" * 5000, "a b" * 30, ""):
        seen: list[int] = []

        def encode(part: str, seen: list[int] = seen) -> list[int]:
            seen.append(len(part))
            return list(tokenizer(part, add_special_tokens=False).input_ids)

        whole = list(tokenizer(text, add_special_tokens=False).input_ids)
        assert first_tokens(encode, text, most) == whole[:most]
        assert first_tokens(encode, text, None) == whole


def test_of_four_mebibytes_little_is_tokenized() -> None:
    tokenizer = byte_tokenizer()
    seen: list[int] = []

    class Watched:
        bos_token_id = None

        def __call__(self, text: str, **options: Any) -> Any:
            seen.append(len(text))
            return tokenizer(text, **options)

    text = "All work and no play makes Jack a dull boy. " * 100_000
    (part,) = windows(
        [Document(0, "t", text, "f")], Sequences(Watched()), max_context=64, max_positions=8
    )
    assert part.token_ids == tuple(tokenizer(text[:9]).input_ids)
    assert part.ended_by == "limit"
    assert len(text) > 4 * 2**20
    assert sum(seen) < 8192


def test_the_record_of_edges_keeps_identities_where_nothing_is_added() -> None:
    from mdbound.logits_cache.store.manifest import EdgesRecord

    assert EdgesRecord(doubled=0, trailing=3, ended=2).settings() == {}
    record = EdgesRecord(("<s>",), ("</s>",), windows=True, doubled=2)
    assert json.dumps(record.settings()) == json.dumps(
        {"beginning": ["<s>"], "ending": ["</s>"], "windows": True}
    )
