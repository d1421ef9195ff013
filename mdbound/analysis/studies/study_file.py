"""Studies as TOML files: reading them, with overrides, and refusing what they cannot mean."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.num_drafts import parse_num_drafts
from mdbound.analysis.solving.selection import Selection
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.studies.study import Study, TableSpec
from mdbound.errors import InvalidSettingError, refuse_unknown

#: Words that stand for "no cut" in lists of top-k, top-p and vocabulary sizes.
_NO_CUT = ("none", "full")

#: Word that stands for the target's own in a list of draft temperatures.
_TARGET = ("target",)


@dataclass(frozen=True)
class _Key:
    """A key of the file: the part of the study that it sets, and how its value is read."""

    part: str
    name: str
    read: Callable[[str, Any], Any]


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(key, value, "a text in quotes")
    return value


def _integer(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(key, value, "a whole number")
    return value


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(key, value, "a number")
    return float(value)


def _list_of(read: Callable[[str, Any], Any]) -> Callable[[str, Any], tuple[Any, ...]]:
    """A list, or one value for a list of one."""

    def read_list(key: str, value: Any) -> tuple[Any, ...]:
        return tuple(read(key, each) for each in (value if isinstance(value, list) else [value]))

    return read_list


def _or_word(
    read: Callable[[str, Any], Any], words: tuple[str, ...] = _NO_CUT
) -> Callable[[str, Any], Any]:
    """A value, or one of the words for None."""

    def read_either(key: str, value: Any) -> Any:
        return None if isinstance(value, str) and value.lower() in words else read(key, value)

    return read_either


def _num_drafts(key: str, value: Any) -> tuple[int, ...]:
    if isinstance(value, str):
        return parse_num_drafts(value)
    return tuple(sorted(set(_list_of(_integer)(key, value))))


#: Every key of a study file but `table`: options of `mdbound solve` and `mdbound report`, with
#: underscores.
KEYS: Mapping[str, _Key] = {
    "name": _Key("study", "name", _text),
    "capture": _Key("study", "capture", _text),
    "out": _Key("study", "out", _text),
    "batch_rows": _Key("study", "batch_rows", _integer),
    "num_drafts": _Key("grid", "num_drafts", _num_drafts),
    "sampling": _Key("grid", "sampling", _list_of(_text)),
    "temperature": _Key("grid", "temperatures", _list_of(_number)),
    "draft_temperature": _Key("grid", "draft_temperatures", _list_of(_or_word(_number, _TARGET))),
    "draft_temperature_sets": _Key("grid", "draft_temperature_sets", _list_of(_list_of(_number))),
    "top_k": _Key("grid", "top_k", _list_of(_or_word(_integer))),
    "top_p": _Key("grid", "top_p", _list_of(_or_word(_number))),
    "min_p": _Key("grid", "min_p", _list_of(_or_word(_number))),
    "vocabulary_size": _Key("grid", "vocabulary_sizes", _list_of(_or_word(_integer))),
    "vocabulary_of": _Key("grid", "vocabulary_of", _text),
    "draft": _Key("grid", "drafts", _list_of(_text)),
    "schemes": _Key("grid", "schemes", _list_of(_text)),
    "scheme_samples": _Key("grid", "scheme_samples", _integer),
    "scheme_seed": _Key("grid", "scheme_seed", _integer),
    "task": _Key("selection", "tasks", _list_of(_text)),
    "limit_per_task": _Key("selection", "limit_per_task", _integer),
    "resamples": _Key("bootstrap", "resamples", _integer),
    "confidence": _Key("bootstrap", "confidence", _number),
    "seed": _Key("bootstrap", "seed", _integer),
}

_TABLE_KEYS = {
    "name": _text,
    "value": _text,
    "across": _text,
    "caption": _text,
    "label": _text,
}


def read_study(path: Path | str, overrides: Mapping[str, Any] | None = None) -> Study:
    """Read a study from a TOML file.

    An override beats the file, the file beats the defaults of `SolveGrid`, `Selection`,
    `Bootstrap` and `Study`. Folders in the file are relative to the file; in an override, to the
    current folder.

    Args:
        path: The file. Keys as in `KEYS`, and any number of `[[table]]`.
        overrides: Key to value, as the file would hold them.

    Returns:
        The study; its name is the file's unless it says so, and its folder is named after it.

    Raises:
        InvalidSettingError: The file is missing or no TOML, a key is unknown (the nearest is
            suggested), or a value is of the wrong kind or out of range.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidSettingError(f"{path}: no such study file; give a TOML file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidSettingError(f"{path} cannot be read as TOML: {error}") from error
    try:
        values = {"name": path.stem, **values}
        for key in ("capture", "out"):
            if isinstance(values.get(key), str):
                values[key] = str(path.parent / values[key])
        values = {**values, **(overrides or {})}
        values.setdefault("out", str(path.parent / str(values["name"])))
        return study_from(values)
    except InvalidSettingError as error:
        raise InvalidSettingError(f"{path}: {error}") from error


def study_from(values: Mapping[str, Any]) -> Study:
    """Make a study of the values of a file.

    Raises:
        InvalidSettingError: A key is unknown or missing, or a value is refused.

    Example:
        >>> study = study_from(
        ...     {"name": "k", "capture": "c", "out": "o", "top_k": [9, "none"], "num_drafts": "1-3"}
        ... )
        >>> study.grid.top_k, study.grid.num_drafts
        ((9, None), (1, 2, 3))
    """
    refuse_unknown(values, [*KEYS, "table"], "key")
    for required in ("name", "capture", "out"):
        if required not in values:
            raise InvalidSettingError(f'{required} is missing; give it, as in {required} = "..."')
    parts: dict[str, dict[str, Any]] = {key.part: {} for key in KEYS.values()}
    for name, value in values.items():
        if name != "table":
            key = KEYS[name]
            parts[key.part][key.name] = key.read(name, value)
    for folder in ("capture", "out"):
        parts["study"][folder] = Path(parts["study"][folder])
    return Study(
        **parts["study"],
        grid=SolveGrid(**parts["grid"]),
        selection=Selection(**parts["selection"]),
        bootstrap=Bootstrap(**parts["bootstrap"]),
        tables=_tables(values.get("table", [])),
    )


def _tables(values: Any) -> tuple[TableSpec, ...]:
    if not isinstance(values, list) or not all(isinstance(each, dict) for each in values):
        raise InvalidSettingError("table: write each one as [[table]]")
    tables = tuple(_table(each, index) for index, each in enumerate(values))
    names = [table.name for table in tables]
    for name in names:
        if names.count(name) > 1:
            raise InvalidSettingError(f"two tables are called {name!r}; rename one")
    return tables


def _table(values: Mapping[str, Any], index: int) -> TableSpec:
    refuse_unknown(values, [*_TABLE_KEYS, "where"], f"[[table]] {index + 1}: key")
    if "name" not in values:
        raise InvalidSettingError(f"[[table]] {index + 1}: name is missing; its files need one")
    given = {name: read(name, values[name]) for name, read in _TABLE_KEYS.items() if name in values}
    if Path(given["name"]).name != given["name"]:
        raise InvalidSettingError(f"[[table]] name {given['name']!r}: give a file name, no folder")
    where = values.get("where", {})
    if not isinstance(where, dict):
        raise _wrong("where", where, 'a table, as in {task = "all"}')
    kept = {
        name: tuple(_filter_value(each) for each in (value if isinstance(value, list) else [value]))
        for name, value in where.items()
    }
    return TableSpec(**given, where=kept)


def _filter_value(value: Any) -> Any:
    return None if isinstance(value, str) and value.lower() in _NO_CUT else value


def _wrong(key: str, value: Any, wanted: str) -> InvalidSettingError:
    return InvalidSettingError(f"{key} = {value!r}: give {wanted}")
