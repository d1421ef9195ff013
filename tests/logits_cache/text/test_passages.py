from __future__ import annotations

import pytest

from mdbound.errors import InvalidSettingError, TextSourceError
from mdbound.logits_cache.text.conversations import Message, Questions
from mdbound.logits_cache.text.documents import Document
from mdbound.logits_cache.text.passages import (
    Passage,
    PromptLimit,
    batches,
    pad_batch,
    prompts,
    windows,
)
from mdbound.logits_cache.text.sequences import Sequences
from tests.logits_cache.small_models import byte_tokenizer


def document(text: str) -> Document:
    return Document(7, "qa", text, "file, line 1,")


def sequences() -> Sequences:
    return Sequences(byte_tokenizer(), end_tokens=(257,))


def test_windows_predict_every_token_but_the_first_once() -> None:
    parts = list(windows([document("abcdefghij")], sequences(), max_context=4, max_positions=None))
    tokens = byte_tokenizer()("abcdefghij").input_ids
    assert [part.positions.tolist() for part in parts] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    predicted = [token for part in parts for token in part.token_ids[part.first_row + 1 :]]
    assert predicted == tokens[1:]
    assert all(len(part.token_ids) - 1 <= 4 for part in parts)
    assert [part.ended_by for part in parts] == ["window", "window", "text"]


@pytest.mark.parametrize(("most", "ended_by"), [(5, "limit"), (8, "limit"), (9, "text")])
def test_max_positions_cuts_each_document(most: int, ended_by: str) -> None:
    parts = list(windows([document("abcdefghij")], sequences(), max_context=4, max_positions=most))
    assert sum(part.rows for part in parts) == most
    assert parts[-1].ended_by == ended_by


def test_one_token_cannot_be_scored() -> None:
    with pytest.raises(TextSourceError, match="has 1 token"):
        list(windows([document("a")], sequences(), max_context=4, max_positions=None))


def asked(*turns: str) -> list[Questions]:
    return [tuple((Message("user", turn),) for turn in turns)]


ROOM = PromptLimit(100, 0, context_is_set=False)


def test_prompts_with_and_without_template() -> None:
    tokenizer = byte_tokenizer()
    made = sequences()
    (plain,) = prompts([document("hi")], asked("hi"), made, chat_template=False, limit=ROOM)
    (chat,) = prompts([document("hi")], asked("hi"), made, chat_template=True, limit=ROOM)
    assert tokenizer.decode(plain.token_ids) == "hi"
    assert tokenizer.decode(chat.token_ids) == "[user] hi [assistant] "
    answered = chat.answered([1, 2, 3], "limit")
    assert answered.rows == 3
    assert (answered.answer, answered.ended_by) == ((1, 2, 3), "limit")
    # The first recorded row is the prompt's last token, which predicts the answer's first.
    assert answered.positions[0] == len(chat.token_ids) - 1
    assert answered.token_ids[answered.first_row + 1 :] == (1, 2, 3)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (
            PromptLimit(9, 6, context_is_set=True),
            r"5 tokens; with answers of up to 6 that is more than `max_context` 9; "
            r"give `max_new_tokens` 4 or less, or raise `max_context` or leave it out$",
        ),
        (
            PromptLimit(9, 6, context_is_set=False),
            r"the context that the models have, 9; give `max_new_tokens` 4 or less$",
        ),
        (PromptLimit(5, 6, context_is_set=False), r"models have, 5; shorten or remove it$"),
        (PromptLimit(4, 1, context_is_set=True), r"4; raise `max_context` or leave it out$"),
    ],
)
def test_long_prompt_is_refused_with_what_makes_room(limit: PromptLimit, message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        list(
            prompts(
                [document("hello")], asked("hello"), sequences(), chat_template=False, limit=limit
            )
        )


@pytest.mark.parametrize("limit", [PromptLimit(11, 6, True), PromptLimit(None, 6, False)])
def test_a_prompt_that_just_fits(limit: PromptLimit) -> None:
    texts = [document("hello")], asked("hello")
    (prompt,) = prompts(*texts, sequences(), chat_template=False, limit=limit)
    assert len(prompt.token_ids) == 5


def test_conversations_need_a_template() -> None:
    for questions, message in (
        (asked("a", "b"), "has 2 turns, .* give `turns` 1"),
        (
            [((Message("system", "s"), Message("user", "a")),)],
            "take a target whose tokenizer has one",
        ),
    ):
        with pytest.raises(InvalidSettingError, match=message):
            list(prompts([document("a")], questions, sequences(), chat_template=False, limit=ROOM))


def test_padding_aligns_anchors_and_counts_positions() -> None:
    batch = pad_batch([[1, 2, 3, 4], [5, 6]], [3, 0], pad_id=9, device="cpu")
    assert batch.input_ids.tolist() == [[1, 2, 3, 4, 9], [9, 9, 9, 5, 6]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1, 0], [0, 0, 0, 1, 1]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 3], [0, 0, 0, 0, 1]]
    assert batch.anchor == 3


def test_long_prompts_do_not_pad_short_ones() -> None:
    sizes = [60, 70, 65, 1000, 1200, 900, 80, 60]
    items = [Passage(i, "t", 0, size - 1, (1,) * size) for i, size in enumerate(sizes)]
    groups = [[item.doc_id for item in group] for group in batches(items, 4, prompts=True)]
    assert groups == [[0, 1, 2], [3, 4, 5], [6, 7]]
    answered = [item.answered([2] * 50, "limit") for item in items]
    again = [[item.doc_id for item in group] for group in batches(answered, 4, prompts=True)]
    assert again == groups


def test_a_prompt_of_one_token_is_grouped_as_before_it_was_answered() -> None:
    items = [Passage(i, "t", 0, size - 1, (1,) * size) for i, size in enumerate([1, 90, 1])]
    answered = [item.answered([2] * 200, "limit") for item in items]
    before, after = (
        [[item.doc_id for item in group] for group in batches(each, 3, prompts=True)]
        for each in (items, answered)
    )
    assert before == after


def test_windows_are_grouped_by_all_of_their_tokens() -> None:
    """Not by the beginning before their first recorded row."""
    items = [Passage(i, "t", 0, 1, (1,) * size) for i, size in enumerate([900, 20, 900])]
    groups = [[item.doc_id for item in group] for group in batches(items, 3, prompts=False)]
    assert groups == [[0], [1], [2]]


def test_passage_counts_rows() -> None:
    passage = Passage(1, "t", 10, 2, (0, 1, 2, 3, 4))
    assert passage.rows == 2
    assert passage.positions.tolist() == [12, 13]
    assert passage.doc_ids.tolist() == [1, 1]
