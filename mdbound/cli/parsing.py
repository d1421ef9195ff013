"""Options as typed, as values: lists of numbers and names, layers, `column=value`, `key=value`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from mdbound.errors import InvalidSettingError, refuse_unknown

Item = TypeVar("Item")


def parse_floats(texts: Iterable[str], option: str) -> tuple[float, ...]:
    """Read a repeatable option of comma-separated numbers, in the order given.

    Raises:
        InvalidSettingError: A piece is not a number.

    Example:
        >>> parse_floats(["0.7,1.0", "2"], "--temperature")
        (0.7, 1.0, 2.0)
    """
    return tuple(_number(piece, option, float, "") for piece in parse_names(texts))


def parse_optional(
    texts: Iterable[str], option: str, kind: Callable[[str], Item], word: str = "none"
) -> tuple[Item | None, ...]:
    """Read a repeatable option of comma-separated numbers, where a word stands for None.

    Args:
        texts: The values as typed, each possibly a comma-separated list.
        option: The option's name, for the error message.
        kind: `int` or `float`.
        word: The word, such as `none` for no cut.

    Returns:
        The values in the order given.

    Raises:
        InvalidSettingError: A piece is neither a number nor the word.

    Example:
        >>> parse_optional(["10,none", "50"], "--top-k", int)
        (10, None, 50)
    """
    return tuple(
        None if piece.lower() == word else _number(piece, option, kind, f", or {word!r}")
        for piece in parse_names(texts)
    )


def parse_names(texts: Iterable[str]) -> tuple[str, ...]:
    """Read a repeatable option of comma-separated names.

    Example:
        >>> parse_names(["greedy,independent"])
        ('greedy', 'independent')
    """
    pieces = (piece.strip() for text in texts for piece in text.split(","))
    return tuple(piece for piece in pieces if piece)


def parse_layers(text: str) -> tuple[int, ...]:
    """Read `14,20` as decoder layers, sorted.

    Raises:
        InvalidSettingError: It is no list of numbers.

    Example:
        >>> parse_layers("20, 14")
        (14, 20)
    """
    try:
        return tuple(sorted(int(part) for part in text.split(",")))
    except ValueError as error:
        raise InvalidSettingError(
            f"--draft-skip-layers {text!r}: give layer numbers, such as 14,20"
        ) from error


def parse_where(texts: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Read `column=value`; `none` and `full` stand for no cut.

    Raises:
        InvalidSettingError: There is no `=`, no such column, or the value is not of its kind.

    Example:
        >>> parse_where(["num_drafts=2", "top_k=none", "task=qa", "task=chat"])
        {'num_drafts': (2,), 'top_k': (None,), 'task': ('qa', 'chat')}
    """
    from mdbound.analysis.solving.results import SETTING_COLUMNS

    found: dict[str, tuple[Any, ...]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidSettingError(f"--where {text}: give column=value, as in num_drafts=2")
        refuse_unknown([name], ("task", *SETTING_COLUMNS), "--where: column")
        found[name] = (*found.get(name, ()), _of_column(name, value))
    return found


def parse_overrides(texts: Sequence[str]) -> dict[str, Any]:
    """Read `key=value` for a study; values are TOML, a bare word is a text.

    Raises:
        InvalidSettingError: There is no `=`, or the key is unknown.

    Example:
        >>> parse_overrides(["top_k=[10, 50]", "name=short"])
        {'top_k': [10, 50], 'name': 'short'}
    """
    import tomllib

    from mdbound.analysis.studies.study_file import KEYS, PATH_KEYS

    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise InvalidSettingError(f"--set {text}: give key=value, as in limit_per_task=2")
        refuse_unknown([key], {**KEYS, **PATH_KEYS}, "--set: key")
        try:
            found[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[key] = value
    return found


def _number(piece: str, option: str, kind: Callable[[str], Item], alternative: str) -> Item:
    try:
        return kind(piece)
    except ValueError:
        raise InvalidSettingError(
            f"{option} {piece}: not a number of the right kind; give numbers separated by "
            f"commas{alternative}"
        ) from None


def _of_column(name: str, value: str) -> Any:
    """A value of the kind that the column of the results holds."""
    import polars as pl

    from mdbound.analysis.solving.results import RESULT_SCHEMA

    kinds: dict[type[pl.DataType], Callable[[str], Any]] = {
        pl.Int64: int,
        pl.Float64: float,
        pl.String: str,
    }
    if value in ("none", "full"):
        return None
    try:
        return kinds[RESULT_SCHEMA[name]](value)
    except ValueError:
        raise InvalidSettingError(
            f"--where {name}={value}: {name} is a number; give one, or none for no cut"
        ) from None
