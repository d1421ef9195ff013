import hashlib
import re
import sys

import pytest

from mdbound.errors import InvalidSettingError, TextSourceError
from mdbound.logits_cache.text import python_docs
from mdbound.logits_cache.text.python_docs import (
    MIN_HELD_OUT_CHARACTERS,
    SHARED_RUN_WORDS,
    HeldOutFilter,
    Topic,
    is_reserved,
    python_docs_topics,
    training_text,
    training_topics,
)


def plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def paragraphs(text: str) -> list[str]:
    return [plain(part) for part in re.split(r"\n\s*\n", text) if plain(part)]


def test_topics_are_sorted_and_complete():
    from pydoc_data.topics import topics

    found = python_docs_topics()
    assert [topic.name for topic in found] == sorted(topics)
    assert {topic.name: topic.text for topic in found} == topics


def test_there_are_enough_long_held_out_topics():
    held_out = python_docs_topics("held_out")
    assert len(held_out) >= 20
    assert all(len(topic.text) >= MIN_HELD_OUT_CHARACTERS for topic in held_out)


def test_splits_are_disjoint_and_consistent_with_the_flag():
    everything = python_docs_topics("all")
    held_out = python_docs_topics("held_out")
    assert held_out == [topic for topic in everything if topic.held_out]
    assert not {topic.name for topic in held_out} & {t.name for t in python_docs_topics("train")}
    assert not any(topic.held_out for topic in python_docs_topics("train"))


def test_reserved_names_depend_on_nothing_but_the_name():
    digest = hashlib.sha256(b"python-docs/for").digest()
    assert is_reserved("for") == (int.from_bytes(digest[:8], "big") / 2**64 < 0.3)
    # Fixed for good: the bundled models were trained on the rest.
    assert [name for name in ("for", "with", "yield", "dict", "calls") if is_reserved(name)] == [
        "for",
        "with",
        "yield",
        "dict",
        "calls",
    ]
    assert not any(map(is_reserved, ("if", "try", "import", "compound", "specialnames")))


def test_unknown_split_is_refused():
    with pytest.raises(InvalidSettingError, match="'test'"):
        python_docs_topics("test")  # type: ignore[arg-type]


def test_python_without_pydoc_data_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    python_docs._all_topics.cache_clear()
    try:
        with pytest.raises(TextSourceError, match="pydoc_data"):
            python_docs_topics()
    finally:
        python_docs._all_topics.cache_clear()


def test_training_text_holds_no_held_out_paragraph():
    reserved = [topic for topic in python_docs_topics() if is_reserved(topic.name)]
    forbidden = {part for topic in reserved for part in paragraphs(topic.text)}
    assert not forbidden & set(paragraphs(training_text()))


def test_training_text_holds_no_long_run_of_held_out_words():
    def runs(text: str) -> set[str]:
        words = text.split()
        last = len(words) - SHARED_RUN_WORDS
        return {" ".join(words[i : i + SHARED_RUN_WORDS]) for i in range(last + 1)}

    reserved = [topic for topic in python_docs_topics() if is_reserved(topic.name)]
    forbidden = {run for t in reserved for part in paragraphs(t.text) for run in runs(part)}
    trained = {run for part in paragraphs(training_text()) for run in runs(part)}
    assert not forbidden & trained


def test_the_overlapping_topic_loses_what_is_held_out_and_keeps_the_rest():
    compound = next(topic for topic in training_topics() if topic.name == "compound")
    assert "with_stmt_contents" not in compound.text
    assert "if_stmt" in compound.text


def test_training_keeps_most_of_the_prose():
    full = sum(len(topic.text) for topic in python_docs_topics("train"))
    assert len(training_text()) > 0.75 * full


def test_held_out_topics_are_distinct():
    held_out = python_docs_topics("held_out")
    for topic in held_out:
        for other in held_out:
            if topic is not other:
                assert plain(topic.text) not in plain(other.text)


def measured(texts: dict[str, str]) -> set[str]:
    return python_docs._measured_names(texts)


def words(prefix: str, count: int) -> str:
    return " ".join(f"{prefix}{i}" for i in range(count))


def test_held_out_topic_equal_to_or_inside_another_is_dropped():
    text = words("a", 400)
    longer = f"{words('b', 400)}\n\n{text}"
    assert measured({"one": text, "same": text}) == {"one"}
    assert measured({"inner": text, "outer": longer}) == {"outer"}
    assert measured({"one": text, "two": words("c", 400)}) == {"one", "two"}


def test_short_held_out_topic_is_dropped():
    assert measured({"short": "x" * (MIN_HELD_OUT_CHARACTERS - 1)}) == set()
    assert measured({"enough": "x" * MIN_HELD_OUT_CHARACTERS}) == {"enough"}


@pytest.mark.parametrize(
    "paragraph",
    [
        "One line, WRAPPED\n   otherwise.",
        f"Before it: {words('w', SHARED_RUN_WORDS)} and after.",
    ],
)
def test_filter_removes_repeated_paragraphs(paragraph):
    held_out = HeldOutFilter(["One line wrapped otherwise", f"{words('w', SHARED_RUN_WORDS)} [1]"])
    assert held_out.strip(f"First.\n\n{paragraph}\n\nLast.") == "First.\n\nLast."


def test_filter_keeps_what_is_only_similar():
    held_out = HeldOutFilter([words("w", SHARED_RUN_WORDS), "***"])
    similar = f"Text: {words('w', SHARED_RUN_WORDS - 1)}\n\n=====\n\n    indented"
    assert held_out.strip(similar) == similar


def test_topics_are_values():
    assert Topic("a", "b", False) == Topic("a", "b", False)
