from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest

from mdbound.errors import MissingDependencyError, TextSourceError
from mdbound.logits_cache.text.documents import load_documents, text_sha256


def write_jsonl(path: Path, *records: object) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return str(path)


def test_plain_file_is_one_document_named_after_the_file(tmp_path: Path) -> None:
    path = tmp_path / "novel.txt"
    path.write_text("Once upon\na time", encoding="utf-8")
    (document,) = load_documents([str(path)])
    assert (document.doc_id, document.task, document.text) == (0, "novel", "Once upon\na time")


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({"turns": ["first", "second"], "text": "other"}, "first"),
        ({"prompt": "def f():"}, "def f():"),
        ({"text": "plain"}, "plain"),
        ({"question": "how many?"}, "how many?"),
    ],
)
def test_jsonl_shapes_are_detected(tmp_path: Path, record: dict[str, object], text: str) -> None:
    (document,) = load_documents([write_jsonl(tmp_path / "a.jsonl", record)])
    assert document.text == text
    assert document.task == "a"


def test_field_is_taken_when_named(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", {"text": "x", "answer": "y"})
    assert load_documents([path], field="answer")[0].text == "y"


def test_task_is_category_then_task_then_file_name(tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / "stem.jsonl",
        {"text": "a", "category": "qa"},
        {"text": "b", "task": "rag"},
        {"text": "c", "category": ""},
    )
    assert [document.task for document in load_documents([path])] == ["qa", "rag", "stem"]


def test_filters_keep_document_numbers(tmp_path: Path) -> None:
    records = [{"text": f"t{i}", "category": "ab"[i % 2]} for i in range(6)]
    path = write_jsonl(tmp_path / "a.jsonl", *records)
    ids = [document.doc_id for document in load_documents([path], tasks=["b"])]
    assert ids == [1, 3, 5]
    assert [d.doc_id for d in load_documents([path], limit=2)] == [0, 1]
    assert [d.doc_id for d in load_documents([path], limit_per_task=1)] == [0, 1]


def test_several_sources_are_numbered_on(tmp_path: Path) -> None:
    sources = [write_jsonl(tmp_path / name, {"text": name}) for name in ("a.jsonl", "b.jsonl")]
    assert [d.doc_id for d in load_documents(sources)] == [0, 1]


def test_line_separators_inside_json_do_not_split_records(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one\u2028two"}\n', encoding="utf-8")
    assert load_documents([str(path)])[0].text == "one\u2028two"


def test_hash_follows_content(tmp_path: Path) -> None:
    one = load_documents([write_jsonl(tmp_path / "a.jsonl", {"text": "x"})])
    other = load_documents([write_jsonl(tmp_path / "a.jsonl", {"text": "y"})])
    assert text_sha256(one) != text_sha256(other)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no text in"),
        ('{"text": "  "}\n', "line 1, has no text"),
        ('{"text": "a"}\n{oops\n', "line 2, is not JSON"),
        ("[1]\n", "line 1, is not a JSON object"),
        ('{"body": "a"}\n', "`field` can be one of body"),
        ('{"text": 3}\n', "field 'text' holds int"),
        ('{"turns": []}\n', "field 'turns' holds list"),
    ],
)
def test_bad_jsonl_names_the_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(TextSourceError, match=message):
        load_documents([str(path)])


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(TextSourceError, match="no text file"):
        load_documents([str(tmp_path / "absent.txt")])
    with pytest.raises(TextSourceError, match="is a folder"):
        load_documents([str(tmp_path)])
    (tmp_path / "empty.txt").write_text("\n \n", encoding="utf-8")
    with pytest.raises(TextSourceError, match="has no text"):
        load_documents([str(tmp_path / "empty.txt")])
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(TextSourceError, match="not UTF-8"):
        load_documents([str(tmp_path / "latin.txt")])


def test_unknown_task_lists_the_known_ones(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", {"text": "x", "task": "qa"})
    with pytest.raises(TextSourceError, match=r"`tasks` 'rga' is unknown: .* can be qa"):
        load_documents([path], tasks=["rga"])


def test_python_docs_needs_no_file() -> None:
    held_out = load_documents(["python-docs:held-out"])
    assert {document.task for document in held_out} == {"python-docs"}
    assert len(held_out) < len(load_documents(["python-docs"]))
    with pytest.raises(TextSourceError, match="python-docs:held-out"):
        load_documents(["python-docs:heldout"])


def test_hub_data_set_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match=r"mdbound\[datasets\]"):
        load_documents(["hub:openai/gsm8k:main:test"])


def test_hub_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(name: str, config: str | None, split: str) -> list[dict[str, str]]:
        asked.append((name, config, split))
        if name == "no/such":
            raise FileNotFoundError("no data set of that name")
        return [{"question": "1+1?", "answer": "2"}]

    fake = types.ModuleType("datasets")
    fake.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", fake)
    (document,) = load_documents(["hub:openai/gsm8k:main"])
    assert asked == [("openai/gsm8k", "main", "test")]
    assert (document.task, document.text) == ("gsm8k", "1+1?")
    with pytest.raises(TextSourceError, match="no data set of that name"):
        load_documents(["hub:no/such"])
