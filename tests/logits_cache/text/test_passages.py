from __future__ import annotations

import pytest

from mdbound.errors import InvalidSettingError, TextSourceError
from mdbound.logits_cache.text.documents import Document
from mdbound.logits_cache.text.passages import Passage, batches, pad_batch, prompts, windows
from tests.logits_cache.small_models import byte_tokenizer


def document(text: str) -> Document:
    return Document(7, "qa", text, "file, line 1,")


def test_windows_predict_every_token_but_the_first_once() -> None:
    tokenizer = byte_tokenizer()
    parts = list(windows([document("abcdefghij")], tokenizer, max_context=4, max_positions=None))
    tokens = tokenizer("abcdefghij").input_ids
    assert [part.positions.tolist() for part in parts] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    predicted = [token for part in parts for token in part.token_ids[part.first_row + 1 :]]
    assert predicted == tokens[1:]
    assert all(len(part.token_ids) - 1 <= 4 for part in parts)


def test_max_positions_cuts_each_document() -> None:
    parts = windows([document("abcdefghij")], byte_tokenizer(), max_context=4, max_positions=5)
    assert sum(part.rows for part in parts) == 5


def test_one_token_cannot_be_scored() -> None:
    with pytest.raises(TextSourceError, match="has 1 token"):
        list(windows([document("a")], byte_tokenizer(), max_context=4, max_positions=None))


def test_prompts_with_and_without_template() -> None:
    tokenizer = byte_tokenizer()
    (plain,) = prompts([document("hi")], tokenizer, chat_template=False, max_prompt=100)
    (chat,) = prompts([document("hi")], tokenizer, chat_template=True, max_prompt=100)
    assert tokenizer.decode(plain.token_ids) == "hi"
    assert tokenizer.decode(chat.token_ids) == "[user] hi [assistant] "
    answered = chat.answered([1, 2, 3])
    assert answered.rows == 3
    # The first recorded row is the prompt's last token, which predicts the answer's first.
    assert answered.positions[0] == len(chat.token_ids) - 1
    assert answered.token_ids[answered.first_row + 1 :] == (1, 2, 3)


def test_long_prompt_is_refused_with_a_remedy() -> None:
    with pytest.raises(InvalidSettingError, match="raise `max_context`"):
        list(prompts([document("hello")], byte_tokenizer(), chat_template=False, max_prompt=4))


def test_padding_aligns_anchors_and_counts_positions() -> None:
    batch = pad_batch([[1, 2, 3, 4], [5, 6]], [3, 0], pad_id=9, device="cpu")
    assert batch.input_ids.tolist() == [[1, 2, 3, 4, 9], [9, 9, 9, 5, 6]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1, 0], [0, 0, 0, 1, 1]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 4], [0, 0, 0, 0, 1]]
    assert batch.anchor == 3


def test_long_prompts_do_not_pad_short_ones() -> None:
    sizes = [60, 70, 65, 1000, 1200, 900, 80, 60]
    items = [Passage(i, "t", 0, size - 1, (1,) * size) for i, size in enumerate(sizes)]
    groups = [[item.doc_id for item in group] for group in batches(items, 4)]
    assert groups == [[0, 1, 2], [3, 4, 5], [6, 7]]
    answered = [item.answered([2] * 50) for item in items]
    assert [[item.doc_id for item in group] for group in batches(answered, 4)] == groups


def test_passage_counts_rows() -> None:
    passage = Passage(1, "t", 10, 2, (0, 1, 2, 3, 4))
    assert passage.rows == 2
    assert passage.positions.tolist() == [12, 13]
    assert passage.doc_ids.tolist() == [1, 1]
