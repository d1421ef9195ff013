from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import polars as pl
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
        ({"turns": ["first"], "text": "other"}, "first"),
        ({"prompt": "def f():"}, "def f():"),
        ({"text": "plain"}, "plain"),
        ({"question": "how many?"}, "how many?"),
    ],
)
def test_jsonl_shapes_are_detected(tmp_path: Path, record: dict[str, object], text: str) -> None:
    (document,) = load_documents([write_jsonl(tmp_path / "a.jsonl", record)])
    assert document.text == text
    assert document.task == "a"


TALK = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]
SHAREGPT = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yes?"}]
PARTS = [
    {"role": "user", "content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]}
]


@pytest.mark.parametrize(
    ("record", "roles", "text"),
    [
        ({"turns": ["Hi", "Bye"]}, ["user", "user"], "Hi"),
        ({"messages": TALK}, ["user", "assistant"], ""),
        ({"conversations": SHAREGPT}, ["user", "assistant"], ""),
        ({"conversation": [{"role": "system", "content": "S"}, *TALK]},
         ["system", "user", "assistant"], ""),
        ({"prompt": TALK}, ["user", "assistant"], ""),
        ({"prompt": TALK[:1]}, [], "Hi"),
        ({"messages": PARTS}, [], "Hi"),
        ({"messages": TALK, "text": "other"}, ["user", "assistant"], ""),
        (TALK, ["user", "assistant"], ""),
    ],
)  # fmt: skip
def test_conversations_of_any_usual_shape(
    tmp_path: Path, record: object, roles: list[str], text: str
) -> None:
    (document,) = load_documents([write_jsonl(tmp_path / "a.jsonl", record)])
    assert [message.role for message in document.messages] == roles
    assert document.text == text
    assert next(each for each in document.conversation if each.role == "user").content == "Hi"


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([{"role": "tool", "content": "x"}], "message 1 is of role 'tool'"),
        ([{"role": "user", "content": None}], "message 1 holds NoneType, not text"),
        ([{"role": "user", "content": " "}], "message 1 has no text"),
        ([{"role": "user"}], "message 1 holds dict without role and content"),
        ([{"role": "assistant", "content": "x"}], "has no message of a user"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "a part of type 'image_url'"),
        (["first", 2], "message 2 holds int"),
        (["first", "  "], "message 2 has no text"),
        (["half \ud800"], "half of a surrogate pair"),
    ],
)
def test_other_messages_are_refused_by_place(
    tmp_path: Path, messages: list[object], message: str
) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", {"text": "fine"}, {"messages": messages})
    with pytest.raises(TextSourceError, match=f"line 2, .*{message}"):
        load_documents([path])


def test_hash_tells_conversations_apart(tmp_path: Path) -> None:
    hashes = set()
    for record in ({"turns": ["a"]}, {"turns": ["a", "b"]}, {"messages": TALK}, {"text": "a"}):
        name = write_jsonl(tmp_path / "a.jsonl", record)
        hashes.add(text_sha256(load_documents([name])))
    assert len(hashes) == 3  # a single turn is the text that it is


ROWS = [
    {"prompt": 'Say "hi", or\nnot', "category": "x"},
    {"prompt": "Zwei Sätze; einer kurz.", "category": "y"},
]


def write_records(path: Path, bom: bool = False) -> str:
    """The same two records in the format of the ending."""
    kind = path.suffix.lower()
    if kind == ".parquet":
        pl.DataFrame(ROWS).write_parquet(path)
        return str(path)
    text = {
        ".jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS),
        ".ndjson": "".join(json.dumps(row) + "\r\n" for row in ROWS),
        ".json": json.dumps(ROWS, indent=1),
        ".csv": pl.DataFrame(ROWS).write_csv(),
        ".tsv": pl.DataFrame(ROWS).write_csv(separator="\t"),
    }[kind]
    path.write_bytes(b"\xef\xbb\xbf" * bom + text.encode())
    return str(path)


ENDINGS = (".jsonl", ".JSONL", ".ndjson", ".json", ".JSON", ".csv", ".CSV", ".tsv", ".parquet")


@pytest.mark.parametrize("ending", ENDINGS)
def test_records_are_the_same_in_every_format(tmp_path: Path, ending: str) -> None:
    documents = load_documents([write_records(tmp_path / f"a{ending}")])
    found = [(each.doc_id, each.task, each.text) for each in documents]
    assert found == [(0, "x", ROWS[0]["prompt"]), (1, "y", ROWS[1]["prompt"])]


@pytest.mark.parametrize("ending", [e for e in ENDINGS if e != ".parquet"])
def test_a_byte_order_mark_is_dropped(tmp_path: Path, ending: str) -> None:
    with_mark = load_documents([write_records(tmp_path / f"a{ending}", bom=True)])
    without = load_documents([write_records(tmp_path / f"a{ending}")])
    assert text_sha256(with_mark) == text_sha256(without)


def test_a_byte_order_mark_before_plain_text_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfOnce")
    assert load_documents([str(tmp_path / "a.txt")])[0].text == "Once"


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ('{"text": "one"}', ["one"]),
        ('[{"text": "one"}, {"text": "two"}]', ["one", "two"]),
        ('{"text": "one"}\n{"text": "two"}\n', ["one", "two"]),  # lines under another name
        ('\n{"text": "one"}\n\n{"text": "two"}', ["one", "two"]),
        ('[[{"role": "user", "content": "one"}]]', ["one"]),
        ('[{"role": "user", "content": "one"}]', ["one"]),
    ],
)
def test_json_of_several_shapes(tmp_path: Path, content: str, texts: list[str]) -> None:
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    assert [each.text for each in load_documents([str(tmp_path / "a.json")])] == texts


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"Once upon a time", "a.json is not JSON"),
        ("a.json", b'{"text": "one"}\n{oops', "line 2, is not JSON"),
        ("a.json", b'{\n"text": oops}', "a.json is not JSON"),
        ("a.json", b'"Once"', "is not a JSON object"),
        ("a.json", b"[" * 100_000, "a.json is JSON nested too deeply"),
        ("a.json", b'{"data": [{"text": "one"}]}', "`field` can be one of data"),
        ("a.json", b"", "no text in"),
        ("a.JSONL", b"Once upon a time", "line 1, is not JSON"),
        ("a.csv", b"Once upon a time, there", "no text in"),
        ("a.csv", b"Once upon a time\nthere was", "none of turns, .* can be one of Once upon"),
        ("a.csv", b'text,task\n"one', "is not CSV"),
        ("a.csv", b"text,task\none,two,three", "line 2, has not as many fields as the header"),
        ("a.csv", b"text,task\none", "line 2, has not as many fields as the header"),
        ("a.csv", b"text;task\none;two", "can be one of text;task"),
        ("a.csv", b"caf\xe9", "not UTF-8"),
        ("a.csv", b'{"text": "one"}\n{"text": "two"}', "none of turns"),
        ("a.parquet", b"Once upon a time", "a.parquet is not Parquet"),
        ("a.parquet", b"PAR1 and no more PAR1", "a.parquet is not Parquet"),
        ("a.txt", b"PAR1\x15\x04\xff\xfe", "not UTF-8"),
        ("a.gz", b"\x1f\x8b\x08", "not UTF-8"),
    ],
)
def test_files_are_refused_by_content(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TextSourceError, match=message):
        load_documents([str(tmp_path / name)])


def test_a_null_is_a_field_that_is_not_there(tmp_path: Path) -> None:
    rows = [{"prompt": None, "text": "one"}, {"prompt": "two", "text": None}]
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    assert [each.text for each in load_documents([str(tmp_path / "a.parquet")])] == ["one", "two"]
    with pytest.raises(TextSourceError, match=r"row 0, field 'prompt' holds NoneType"):
        load_documents([str(tmp_path / "a.parquet")], field="prompt")


def test_conversations_in_parquet(tmp_path: Path) -> None:
    pl.DataFrame({"messages": [TALK, TALK[:1]]}).write_parquet(tmp_path / "a.parquet")
    one, other = load_documents([str(tmp_path / "a.parquet")])
    assert [message.as_dict() for message in one.messages] == TALK
    assert (other.text, other.messages) == ("Hi", ())


def test_a_field_of_a_csv_can_be_long(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\n" + "word " * 60_000, encoding="utf-8")
    assert len(load_documents([str(tmp_path / "a.csv")])[0].text) == 300_000


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
        ("1\n", "line 1, is not a JSON object"),
        ("[1]\n", "line 1, message 1 holds int without role and content"),
        ("[]\n", "line 1, has no message of a user"),
        ("[" * 100_000 + "]" * 100_000 + "\n", "line 1, is JSON nested too deeply"),
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
