"""Text sources: plain files, JSONL prompts, hub data sets, and Python's own documentation."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mdbound.errors import MissingDependencyError, TextSourceError, refuse_unknown

# In the order they are looked for; of a list (the turns of a conversation) the first is taken.
TEXT_FIELDS = ("turns", "prompt", "text", "question")
TASK_FIELDS = ("category", "task")
PYTHON_DOCS = "python-docs"
HUB_PREFIX = "hub:"


@dataclass(frozen=True)
class Document:
    """One text or prompt.

    Attributes:
        doc_id: its number in the source, counted before any filter, so that it stays the same
            whatever is selected.
        task: its label in tables: the record's category or task, else the source's name.
        text: the text.
        origin: where it stands, for messages.
    """

    doc_id: int
    task: str
    text: str
    origin: str


def load_documents(
    sources: Sequence[str],
    *,
    field: str | None = None,
    tasks: Sequence[str] = (),
    limit: int | None = None,
    limit_per_task: int | None = None,
) -> list[Document]:
    """Read every source, in order, and select documents.

    Args:
        sources: each a text file, a `.jsonl` file, `hub:NAME[:CONFIG[:SPLIT]]`, or `python-docs`
            (`python-docs:held-out` and `python-docs:train` for the topics the tiny pair has not
            and has seen).
        field: the field of JSONL or hub records that holds the text; None detects it.
        tasks: tasks to keep; empty keeps all.
        limit: most documents in all.
        limit_per_task: most documents of each task.

    Raises:
        TextSourceError: a source is missing, empty or of another shape, or a task is unknown.
        MissingDependencyError: a hub data set is asked for and `datasets` is not installed.
    """
    documents: list[Document] = []
    for source in sources:
        for task, text, origin in _read_source(source, field):
            if not text.strip():
                raise TextSourceError(f"{origin} has no text; remove it or give another `field`")
            documents.append(Document(len(documents), task, text, origin))
    if not documents:
        raise TextSourceError(f"no text in {' '.join(sources)!r}; give a file that has some")
    return _select(documents, tasks, limit, limit_per_task)


def text_sha256(documents: Iterable[Document]) -> str:
    """SHA-256 (hex) of the documents' numbers, tasks and texts."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(json.dumps([document.doc_id, document.task, document.text]).encode())
    return digest.hexdigest()


def _select(
    documents: list[Document],
    tasks: Sequence[str],
    limit: int | None,
    limit_per_task: int | None,
) -> list[Document]:
    known = sorted({document.task for document in documents})
    refuse_unknown(tasks, known, "`tasks`", TextSourceError)
    taken: Counter[str] = Counter()
    selected = []
    for document in documents:
        if tasks and document.task not in tasks:
            continue
        if limit_per_task is not None and taken[document.task] >= limit_per_task:
            continue
        taken[document.task] += 1
        selected.append(document)
    return selected[:limit]


def _read_source(source: str, field: str | None) -> Iterator[tuple[str, str, str]]:
    """Yield (task, text, origin) of each document of one source."""
    if source == PYTHON_DOCS or source.startswith(f"{PYTHON_DOCS}:"):
        return _python_docs(source)
    if source.startswith(HUB_PREFIX):
        return _hub_records(source, field)
    path = Path(source).expanduser()
    if path.is_dir():
        raise TextSourceError(f"{path} is a folder; give its files, each as a `text`")
    if not path.is_file():
        raise TextSourceError(
            f"no text file {path}; give a file, {PYTHON_DOCS!r} or hub:NAME:CONFIG:SPLIT"
        )
    return _jsonl(path, field) if path.suffix == ".jsonl" else _plain(path)


def _plain(path: Path) -> Iterator[tuple[str, str, str]]:
    yield path.stem, _read_utf8(path), str(path)


def _jsonl(path: Path, field: str | None) -> Iterator[tuple[str, str, str]]:
    # Not splitlines: it also splits at separators that JSON strings may hold unescaped.
    for number, line in enumerate(_read_utf8(path).split("\n"), start=1):
        if not line.strip():
            continue
        origin = f"{path}, line {number},"
        try:
            record = json.loads(line)
        except ValueError as error:
            raise TextSourceError(f"{origin} is not JSON ({error}); fix or remove it") from error
        if not isinstance(record, dict):
            raise TextSourceError(f"{origin} is not a JSON object; give one object per line")
        text = _text_of(record, field, origin)
        if not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise TextSourceError(f"{origin} has half of a surrogate pair; fix or remove it")
        yield _task_of(record, path.stem), text, origin


def _hub_records(source: str, field: str | None) -> Iterator[tuple[str, str, str]]:
    try:
        import datasets  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise MissingDependencyError(
            f"{source!r} needs the datasets package; pip install 'mdbound[datasets]'"
        ) from error
    name, config, split = (*source.removeprefix(HUB_PREFIX).split(":"), "", "")[:3]
    try:
        records = datasets.load_dataset(name, config or None, split=split or "test")
    except Exception as error:  # whatever the hub client raises: no such name, split, network
        raise TextSourceError(
            f"cannot load data set {source!r} ({error}); give hub:NAME:CONFIG:SPLIT"
        ) from error
    for number, record in enumerate(records):
        origin = f"{source}, record {number},"
        yield _task_of(record, name.rsplit("/", 1)[-1]), _text_of(record, field, origin), origin


def _python_docs(source: str) -> Iterator[tuple[str, str, str]]:
    from mdbound.logits_cache.text.python_docs import python_docs_topics

    splits: dict[str, Literal["all", "train", "held_out"]] = {
        PYTHON_DOCS: "all",
        f"{PYTHON_DOCS}:held-out": "held_out",
        f"{PYTHON_DOCS}:train": "train",
    }
    refuse_unknown([source], splits, "`text`", TextSourceError)
    for topic in python_docs_topics(splits[source]):
        yield PYTHON_DOCS, topic.text, f"{source}, topic {topic.name},"


def _task_of(record: Mapping[str, Any], fallback: str) -> str:
    for name in TASK_FIELDS:
        if record.get(name):
            return str(record[name])
    return fallback


def _text_of(record: Mapping[str, Any], field: str | None, origin: str) -> str:
    names = (field,) if field is not None else TEXT_FIELDS
    for name in names:
        if name not in record:
            continue
        value = record[name]
        first = value[0] if isinstance(value, list) and value else value
        if not isinstance(first, str):
            raise TextSourceError(
                f"{origin} field {name!r} holds {type(first).__name__}, not text; "
                "give another `field`"
            )
        return first
    wanted = f"no field {field!r}" if field is not None else f"none of {', '.join(TEXT_FIELDS)}"
    raise TextSourceError(f"{origin} has {wanted}; `field` can be one of {', '.join(record)}")


def _read_utf8(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise TextSourceError(f"{path} is not UTF-8 text ({error}); convert it first") from error
    except OSError as error:
        raise TextSourceError(f"cannot read {path} ({error.strerror}); check the file") from error
