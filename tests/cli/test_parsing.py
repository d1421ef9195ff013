from __future__ import annotations

import re

import pytest

from mdbound.cli.parsing import (
    parse_floats,
    parse_layers,
    parse_optional,
    parse_overrides,
    parse_where,
)
from mdbound.errors import InvalidSettingError


def test_numbers_are_comma_lists_or_repeated() -> None:
    assert parse_floats(["0.7, 1.0", "2"], "--temperature") == (0.7, 1.0, 2.0)
    assert parse_optional(["10", "None,50"], "--top-k", int) == (10, None, 50)
    assert parse_optional(["0,target"], "--draft-temperature", float, "target") == (0.0, None)


def test_what_is_not_a_number_is_named() -> None:
    with pytest.raises(InvalidSettingError, match=r"--temperature warm"):
        parse_floats(["0.7,warm"], "--temperature")
    with pytest.raises(InvalidSettingError, match=r"--top-k 2\.5.*none"):
        parse_optional(["2.5"], "--top-k", int)


def test_layers_are_parsed() -> None:
    assert parse_layers("20,14") == (14, 20)
    with pytest.raises(InvalidSettingError, match="give layer numbers"):
        parse_layers("14;20")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("num_drafts", "give column=value"),
        ("num_draft=2", "did you mean 'num_drafts'?"),
        ("num_drafts=two", "num_drafts is a number"),
    ],
)
def test_a_bad_where_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidSettingError, match=re.escape(message)):
        parse_where([text])


def test_overrides_are_toml_values_or_bare_words() -> None:
    assert parse_overrides(["temperature=[0.5, 1]", "vocabulary_of=draft", "seed=3"]) == {
        "temperature": [0.5, 1],
        "vocabulary_of": "draft",
        "seed": 3,
    }
    for wrong, message in [("seed", "give key=value"), ("sede=1", "did you mean 'seed'")]:
        with pytest.raises(InvalidSettingError, match=message):
            parse_overrides([wrong])
