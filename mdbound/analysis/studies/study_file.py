"""Studies as TOML files: reading them, with overrides, and refusing what they cannot mean."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from mdbound.analysis.paths.path_setting import PathGrid
from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.selection import Selection
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.studies.path_study import PathStudy, PathTableSpec
from mdbound.analysis.studies.study import Study, TableSpec
from mdbound.analysis.studies.study_values import (
    TARGET,
    Key,
    filter_value,
    list_of,
    or_word,
    read_flag,
    read_integer,
    read_lengths,
    read_num_drafts,
    read_number,
    read_shapes,
    read_text,
    wrong_value,
)
from mdbound.analysis.studies.tree_study import TreeStudy
from mdbound.analysis.trees.tree_grid import TreeGrid
from mdbound.errors import InvalidSettingError, refuse_unknown

AnyStudy: TypeAlias = Study | PathStudy | TreeStudy
"""What a file can hold: of `mdbound solve`, of `mdbound paths`, or of `mdbound trees`."""

_Table = TypeVar("_Table", TableSpec, PathTableSpec)

#: Keys of every study.
_OF_ALL: Mapping[str, Key] = {
    "name": Key("study", "name", read_text),
    "capture": Key("study", "capture", read_text),
    "out": Key("study", "out", read_text),
    "batch_rows": Key("study", "batch_rows", read_integer),
    "num_drafts": Key("grid", "num_drafts", read_num_drafts),
    "sampling": Key("grid", "sampling", list_of(read_text)),
    "temperature": Key("grid", "temperatures", list_of(read_number)),
    "draft_temperature": Key("grid", "draft_temperatures", list_of(or_word(read_number, TARGET))),
    "top_k": Key("grid", "top_k", list_of(or_word(read_integer))),
    "top_p": Key("grid", "top_p", list_of(or_word(read_number))),
    "min_p": Key("grid", "min_p", list_of(or_word(read_number))),
    "draft": Key("grid", "drafts", list_of(read_text)),
    "schemes": Key("grid", "schemes", list_of(read_text)),
    "resamples": Key("bootstrap", "resamples", read_integer),
    "confidence": Key("bootstrap", "confidence", read_number),
    "seed": Key("bootstrap", "seed", read_integer),
}

#: Every key of a study of `mdbound solve` but `command` and `table`: its options, and those of
#: `mdbound report`, with underscores.
KEYS: Mapping[str, Key] = {
    **_OF_ALL,
    "draft_temperature_sets": Key("grid", "draft_temperature_sets", list_of(list_of(read_number))),
    "vocabulary_size": Key("grid", "vocabulary_sizes", list_of(or_word(read_integer))),
    "vocabulary_of": Key("grid", "vocabulary_of", read_text),
    "scheme_samples": Key("grid", "scheme_samples", read_integer),
    "scheme_seed": Key("grid", "scheme_seed", read_integer),
    "task": Key("selection", "tasks", list_of(read_text)),
    "limit_per_task": Key("selection", "limit_per_task", read_integer),
}

#: The same of a study of `mdbound paths`.
PATH_KEYS: Mapping[str, Key] = {
    **_OF_ALL,
    "length": Key("grid", "lengths", read_lengths),
    "last_level": Key("grid", "last_level", read_text),
}

#: The same of a study of `mdbound trees`.
TREE_KEYS: Mapping[str, Key] = {
    **{
        name: _OF_ALL[name]
        for name in ("name", "capture", "out", "draft", "resamples", "confidence", "seed")
    },
    "verifiers": Key("grid", "verifiers", list_of(read_text)),
    "shapes": Key("grid", "shapes", read_shapes),
    "mixed": Key("grid", "mixed", list_of(read_text)),
    "sampled": Key("grid", "sampled", read_flag),
}

#: By command, the keys of its studies.
STUDY_KEYS: Mapping[str, Mapping[str, Key]] = {
    "solve": KEYS,
    "paths": PATH_KEYS,
    "trees": TREE_KEYS,
}

_TABLE_KEYS = {
    "name": read_text,
    "value": read_text,
    "across": read_text,
    "caption": read_text,
    "label": read_text,
}


def read_study(path: Path | str, overrides: Mapping[str, Any] | None = None) -> AnyStudy:
    """Read a study from a TOML file.

    An override beats the file, the file beats the defaults of `SolveGrid`, `Selection`,
    `Bootstrap` and `Study`, or of `PathGrid` and `PathStudy`. Folders in the file are relative to
    the file; in an override, to the current folder.

    Args:
        path: The file. Keys as `STUDY_KEYS` has them of its `command`, `solve` if it names none,
            and any number of `[[table]]`.
        overrides: Key to value, as the file would hold them.

    Returns:
        A `Study`, a `PathStudy` for `run_path_study`, or a `TreeStudy` for `run_tree_study`; its
        name is the file's unless it says so, and its folder is named after it.

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


def study_from(values: Mapping[str, Any]) -> AnyStudy:
    """Make a study of the values of a file.

    Raises:
        InvalidSettingError: A key is unknown or missing, or a value is refused.

    Example:
        >>> study = study_from(
        ...     {"name": "k", "capture": "c", "out": "o", "top_k": [9, "none"], "num_drafts": "1-3"}
        ... )
        >>> study.grid.top_k, study.grid.num_drafts
        ((9, None), (1, 2, 3))
        >>> folders = {"name": "k", "capture": "c", "out": "o"}
        >>> study_from({"command": "paths", "length": "1,4", **folders}).grid.lengths
        (1, 4)
    """
    command = values.get("command", "solve")
    refuse_unknown([str(command)], _OF_COMMAND, "command")
    return _OF_COMMAND[command]({k: v for k, v in values.items() if k != "command"})


def _solve_study(values: Mapping[str, Any]) -> Study:
    parts = _parts(values, KEYS)
    return Study(
        **parts["study"],
        grid=SolveGrid(**parts["grid"]),
        selection=Selection(**parts["selection"]),
        bootstrap=Bootstrap(**parts["bootstrap"]),
        tables=_tables(values.get("table", []), TableSpec),
    )


def _path_study(values: Mapping[str, Any]) -> PathStudy:
    parts = _parts(values, PATH_KEYS)
    return PathStudy(
        **parts["study"],
        grid=PathGrid(**parts["grid"]),
        bootstrap=Bootstrap(**parts["bootstrap"]),
        tables=_tables(values.get("table", []), PathTableSpec),
    )


def _tree_study(values: Mapping[str, Any]) -> TreeStudy:
    if "table" in values:
        raise InvalidSettingError("table: studies of trees have their own; leave it out")
    parts = _parts(values, TREE_KEYS)
    bootstrap = Bootstrap(**parts["bootstrap"])
    grid = TreeGrid(**parts["grid"], seed=bootstrap.seed)
    return TreeStudy(**parts["study"], grid=grid, bootstrap=bootstrap)


#: What makes the study of each command.
_OF_COMMAND: Mapping[str, Callable[[Mapping[str, Any]], AnyStudy]] = {
    "solve": _solve_study,
    "paths": _path_study,
    "trees": _tree_study,
}


def all_keys() -> dict[str, Key]:
    """The keys of all kinds of studies.

    Example:
        >>> "shapes" in all_keys()
        True
    """
    return {name: key for keys in STUDY_KEYS.values() for name, key in keys.items()}


def _parts(values: Mapping[str, Any], keys: Mapping[str, Key]) -> dict[str, dict[str, Any]]:
    """Fields of every part of a study, read from the values of a file."""
    every = all_keys()
    elsewhere = [name for name in values if name not in keys and name in every]
    if elsewhere:
        of = next(name for name, known in STUDY_KEYS.items() if elsewhere[0] in known)
        raise InvalidSettingError(
            f'key {elsewhere[0]!r} is of studies with command = "{of}"; add that, or leave it out'
        )
    refuse_unknown(values, [*keys, "table"], "key")
    for required in ("name", "capture", "out"):
        if required not in values:
            raise InvalidSettingError(f'{required} is missing; give it, as in {required} = "..."')
    parts: dict[str, dict[str, Any]] = {key.part: {} for key in keys.values()}
    for name, value in values.items():
        if name != "table":
            key = keys[name]
            parts[key.part][key.name] = key.read(name, value)
    for folder in ("capture", "out"):
        parts["study"][folder] = Path(parts["study"][folder])
    return parts


def _tables(values: Any, kind: type[_Table]) -> tuple[_Table, ...]:
    if not isinstance(values, list) or not all(isinstance(each, dict) for each in values):
        raise InvalidSettingError("table: write each one as [[table]]")
    tables = tuple(_table(each, index, kind) for index, each in enumerate(values))
    names = [table.name for table in tables]
    for name in names:
        if names.count(name) > 1:
            raise InvalidSettingError(f"two tables are called {name!r}; rename one")
    return tables


def _table(values: Mapping[str, Any], index: int, kind: type[_Table]) -> _Table:
    refuse_unknown(values, [*_TABLE_KEYS, "where"], f"[[table]] {index + 1}: key")
    if "name" not in values:
        raise InvalidSettingError(f"[[table]] {index + 1}: name is missing; its files need one")
    given = {name: read(name, values[name]) for name, read in _TABLE_KEYS.items() if name in values}
    if Path(given["name"]).name != given["name"]:
        raise InvalidSettingError(f"[[table]] name {given['name']!r}: give a file name, no folder")
    where = values.get("where", {})
    if not isinstance(where, dict):
        raise wrong_value("where", where, 'a table, as in {task = "all"}')
    kept = {
        name: tuple(filter_value(each) for each in (value if isinstance(value, list) else [value]))
        for name, value in where.items()
    }
    return kind(**given, where=kept)
