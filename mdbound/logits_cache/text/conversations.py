"""Conversations: messages of any of the usual shapes, and which of them the target answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mdbound.errors import TextSourceError
from mdbound.logits_cache.text.records import is_message

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"

#: What data sets call the roles, to what chat templates call them.
ROLES: Mapping[str, str] = {
    "system": SYSTEM,
    "developer": SYSTEM,
    "user": USER,
    "human": USER,
    "assistant": ASSISTANT,
    "gpt": ASSISTANT,
    "chatgpt": ASSISTANT,
    "model": ASSISTANT,
    "bot": ASSISTANT,
}

#: What becomes of answers that a record holds, see `questions`.
HISTORIES = ("given", "target")


@dataclass(frozen=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: `system`, `user` or `assistant`.
        content: its text.
    """

    role: str
    content: str

    def as_dict(self) -> dict[str, str]:
        """The message as chat templates take it."""
        return {"role": self.role, "content": self.content}


def messages_from(values: Sequence[Any], origin: str) -> tuple[Message, ...]:
    """Messages of a list: texts, which are the user's turns, or records with a role each.

    A record says `role` and `content`, or `from` and `value`; a content may be a list of parts.

    Raises:
        TextSourceError: naming the message that is of another shape, or has no text; nobody asks
            anything.

    Example:
        >>> [each.role for each in messages_from([{"from": "human", "value": "Why?"}], "f")]
        ['user']
    """
    found = tuple(
        _message(value, f"{origin} message {number}") for number, value in enumerate(values, 1)
    )
    if not any(message.role == USER for message in found):
        raise TextSourceError(f"{origin} has no message of a user; remove it")
    return found


def _message(value: Any, place: str) -> Message:
    if isinstance(value, str):
        return Message(USER, _content(value, USER, place))
    if not (isinstance(value, dict) and is_message(value)):
        raise TextSourceError(
            f"{place} holds {type(value).__name__} without role and content; give a text, or "
            "a record with both"
        )
    name, content = (
        (value["role"], value["content"]) if "role" in value else (value["from"], value["value"])
    )
    role = ROLES.get(str(name).lower())
    if role is None:
        raise TextSourceError(
            f"{place} is of role {name!r}; conversations of {SYSTEM}, {USER} and {ASSISTANT} are "
            "read, remove the others"
        )
    return Message(role, _content(content, role, place))


def _content(content: Any, role: str, place: str) -> str:
    if isinstance(content, list):
        content = "".join(_part(part, place) for part in content)
    if not isinstance(content, str):
        raise TextSourceError(f"{place} holds {type(content).__name__}, not text; remove it")
    if role == USER and not content.strip():
        raise TextSourceError(f"{place} has no text; remove it")
    return content


def _part(part: Any, place: str) -> str:
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    kind = part.get("type") if isinstance(part, dict) else type(part).__name__
    raise TextSourceError(f"{place} has a part of type {kind!r}; only text is read, remove it")


#: For each answer of the target, the messages that its history grows by before it.
Questions = tuple[tuple[Message, ...], ...]


def questions(messages: Sequence[Message], history: str, most: int | None = None) -> Questions:
    """What is said before each answer of the target, from its last answer on.

    With `history` given, an answer that the record holds stays, and the target answers what has
    none, and the last of the user's turns. With `target` it answers each turn, and the record's
    answers are left out. What stands after the last turn is left out in both.

    Args:
        messages: the conversation.
        history: one of `HISTORIES`.
        most: turns of the user that are read, or None for all.

    Returns:
        For each answer of the target, the messages that its history grows by before it.

    Example:
        >>> talk = [Message("user", "a"), Message("assistant", "b"), Message("user", "c")]
        >>> [[each.content for each in before] for before in questions(talk, "given")]
        [['a', 'b', 'c']]
        >>> [[each.content for each in before] for before in questions(talk, "target")]
        [['a'], ['c']]
    """
    turns = [place for place, message in enumerate(messages) if message.role == USER][:most]
    asked: list[tuple[Message, ...]] = []
    waiting: list[Message] = []
    for place, message in enumerate(messages[: turns[-1] + 1]):
        if message.role == ASSISTANT and history == "target":
            continue
        waiting.append(message)
        if message.role == USER and (
            history == "target" or place == turns[-1] or messages[place + 1].role != ASSISTANT
        ):
            asked.append(tuple(waiting))
            waiting = []
    return tuple(asked)
