"""Text sources: files of texts or conversations, hub data sets, Python's own documentation."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mdbound.errors import MissingDependencyError, TextSourceError, refuse_unknown
from mdbound.logits_cache.text.conversations import USER, Message, messages_from
from mdbound.logits_cache.text.records import Located, read_records, read_utf8

#: In the order they are looked for.
TEXT_FIELDS = ("turns", "prompt", "messages", "conversations", "conversation", "text", "question")
TASK_FIELDS = ("category", "task")
PYTHON_DOCS = "python-docs"
HUB_PREFIX = "hub:"


@dataclass(frozen=True)
class Document:
    """One text, prompt or conversation.

    Attributes:
        doc_id: its number in the source, counted before any filter, so that it stays the same
            whatever is selected.
        task: its label in tables: the record's category or task, else the source's name.
        text: the text; of several turns without roles the first, of a conversation with roles
            empty.
        origin: where it stands, for messages.
        messages: the conversation, if it is more than one text.
    """

    doc_id: int
    task: str
    text: str
    origin: str
    messages: tuple[Message, ...] = ()

    @property
    def conversation(self) -> tuple[Message, ...]:
        """The messages, or the text as the only one."""
        return self.messages or (Message(USER, self.text),)


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
        sources: each a text file, a file of records (`.jsonl`, `.json`, `.csv`, `.tsv`,
            `.parquet`), `hub:NAME[:CONFIG[:SPLIT]]`, or `python-docs` (`python-docs:held-out` and
            `python-docs:train` for the topics the tiny pair has not and has seen).
        field: the field of records that holds the text or conversation; None detects it.
        tasks: tasks to keep; empty keeps all.
        limit: most documents in all.
        limit_per_task: most documents of each task.

    Raises:
        TextSourceError: a source is missing, empty or of another shape, or a task is unknown.
        MissingDependencyError: a hub data set is asked for and `datasets` is not installed.
    """
    documents: list[Document] = []
    for source in sources:
        for each in _read_source(source, field):
            documents.append(replace(each, doc_id=len(documents)))
    if not documents:
        raise TextSourceError(f"no text in {' '.join(sources)!r}; give a file that has some")
    return _select(documents, tasks, limit, limit_per_task)


def text_sha256(documents: Iterable[Document]) -> str:
    """SHA-256 (hex) of the documents' numbers, tasks and texts or messages."""
    digest = hashlib.sha256()
    for document in documents:
        content = [[each.role, each.content] for each in document.messages] or document.text
        digest.update(json.dumps([document.doc_id, document.task, content]).encode())
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


def _read_source(source: str, field: str | None) -> Iterator[Document]:
    """Documents of one source, all numbered 0."""
    if source == PYTHON_DOCS or source.startswith(f"{PYTHON_DOCS}:"):
        return _python_docs(source)
    if source.startswith(HUB_PREFIX):
        name, records = _hub_records(source)
        return _of_records(records, name, field)
    path = Path(source).expanduser()
    if path.is_dir():
        raise TextSourceError(f"{path} is a folder; give its files, each as a `text`")
    if not path.is_file():
        raise TextSourceError(
            f"no text file {path}; give a file, {PYTHON_DOCS!r} or hub:NAME:CONFIG:SPLIT"
        )
    found = read_records(path)
    if found is None:
        return iter([_document(read_utf8(path), path.stem, str(path))])
    return _of_records(found, path.stem, field)


def _of_records(records: Iterator[Located], name: str, field: str | None) -> Iterator[Document]:
    for origin, record in records:
        if isinstance(record, list):  # a conversation without anything around it
            yield _document(record, name, origin)
        elif isinstance(record, dict):
            yield _document(_text_of(record, field, origin), _task_of(record, name), origin)
        else:
            raise TextSourceError(
                f"{origin} is not a JSON object; give objects, or lists of messages"
            )


def _document(content: str | list[Any], task: str, origin: str) -> Document:
    """A document of one text, or of a list of turns or messages."""
    if isinstance(content, str):
        document = Document(0, task, content, origin)
    else:
        messages = messages_from(content, origin)
        without_roles = isinstance(content[0], str)
        alone = len(messages) == 1
        document = Document(
            0,
            task,
            messages[0].content if without_roles or alone else "",
            origin,
            () if alone else messages,
        )
    texts = [document.text, *(message.content for message in document.messages)]
    if not any(text.strip() for text in texts):
        raise TextSourceError(f"{origin} has no text; remove it or give another `field`")
    for text in texts:
        if not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise TextSourceError(f"{origin} has half of a surrogate pair; fix or remove it")
    return document


def _hub_records(source: str) -> tuple[str, Iterator[Located]]:
    """Short name and records of a data set of the hub."""
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
    located = ((f"{source}, record {number},", record) for number, record in enumerate(records))
    return name.rsplit("/", 1)[-1], located


def _python_docs(source: str) -> Iterator[Document]:
    from mdbound.logits_cache.text.python_docs import python_docs_topics

    splits: dict[str, Literal["all", "train", "held_out"]] = {
        PYTHON_DOCS: "all",
        f"{PYTHON_DOCS}:held-out": "held_out",
        f"{PYTHON_DOCS}:train": "train",
    }
    refuse_unknown([source], splits, "`text`", TextSourceError)
    for topic in python_docs_topics(splits[source]):
        yield _document(topic.text, PYTHON_DOCS, f"{source}, topic {topic.name},")


def _task_of(record: Mapping[str, Any], fallback: str) -> str:
    for name in TASK_FIELDS:
        if record.get(name):
            return str(record[name])
    return fallback


def _text_of(record: Mapping[str, Any], field: str | None, origin: str) -> str | list[Any]:
    """The field that holds a text, or a list of turns or messages."""
    names = (field,) if field is not None else TEXT_FIELDS
    for name in names:
        value = record.get(name)
        if isinstance(value, str) or (isinstance(value, list) and value):
            return value
        # In tables a field that a record has not is null.
        if name in record and (value is not None or field is not None):
            raise TextSourceError(
                f"{origin} field {name!r} holds {type(value).__name__}, not text; "
                "give another `field`"
            )
    wanted = f"no field {field!r}" if field is not None else f"none of {', '.join(TEXT_FIELDS)}"
    raise TextSourceError(f"{origin} has {wanted}; `field` can be one of {', '.join(record)}")
