"""Warpers are checked when made, recorded in one form, and named as the doors' arguments."""

from __future__ import annotations

import dataclasses
import inspect
import json

import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds import Warpers
from mdbound.errors import InvalidSettingError

DOORS = (
    bounds.distribution_from_logits,
    bounds.entropy_from_logits,
    bounds.acceptance_curve_from_logits,
    bounds.solve_curve_from_logits,
)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1.0}, "temperature is -1.0: give a finite number, 0 or more"),
        ({"temperature": np.nan}, "temperature is nan: give"),
        ({"temperature": np.inf}, "temperature is inf: give"),
        ({"temperature": 1e-310}, "temperature is 1e-310: give 0, or at least 1e-300"),
        ({"temperature": None}, "temperature is None: give"),
        ({"temperature": "hot"}, "temperature is hot: give"),
        ({"temperature": True}, "temperature is True: give"),
        ({"top_k": 0}, "top_k is 0: give 1 or more, or leave it out"),
        ({"top_k": 2.5}, "top_k is 2.5: give a whole number"),
        ({"top_k": True}, "top_k is True: give a whole number"),
        ({"top_p": 0.0}, r"top_p is 0.0: give a number in \(0, 1\]"),
        ({"top_p": 1.5}, r"top_p is 1.5: give a number in \(0, 1\]"),
        ({"top_p": np.nan}, "top_p is nan: give"),
        ({"min_p": -0.1}, r"min_p is -0.1: give a number in \[0, 1\]"),
        ({"min_p": 1.5}, r"min_p is 1.5: give a number in \[0, 1\]"),
        ({"min_p": np.nan}, "min_p is nan: give"),
    ],
)
def test_what_is_out_of_range_is_refused_where_it_is_made(settings, message):
    with pytest.raises(InvalidSettingError, match=message):
        Warpers(**settings)


def test_the_record_is_plain_json_and_comes_back():
    warpers = Warpers(np.float32(0.5), np.int64(50), np.float64(0.9), np.float64(0.1))
    text = json.dumps(warpers.as_dict())
    assert text == '{"temperature": 0.5, "top_k": 50, "top_p": 0.9, "min_p": 0.1}'
    assert Warpers.from_dict(json.loads(text)) == warpers == Warpers(0.5, 50, 0.9, 0.1)
    assert Warpers.from_dict({}) == Warpers()


def test_equal_warpers_have_one_record():
    records = {json.dumps(Warpers(temperature, 9).as_dict()) for temperature in (1, 1.0)}
    assert len(records) == 1
    assert len({Warpers(1), Warpers(1.0), Warpers(2.0)}) == 2


def test_a_record_of_a_newer_version_is_refused_by_name():
    with pytest.raises(InvalidSettingError, match=r"warper 'min_q' is not one of temperature, top"):
        Warpers.from_dict({"temperature": 1.0, "min_q": 0.1})
    with pytest.raises(InvalidSettingError, match="top_k is 0"):
        Warpers.from_dict({"top_k": 0})


def test_only_the_temperature_changes():
    assert Warpers(1.0, 7, 0.5).at(0.0) == Warpers(0.0, 7, 0.5)
    with pytest.raises(InvalidSettingError, match="temperature is -1"):
        Warpers().at(-1.0)


@pytest.mark.parametrize(
    ("warpers", "plain"),
    [
        (Warpers(), True),
        (Warpers(0.3, top_p=1.0), True),
        (Warpers(top_k=10), True),
        (Warpers(top_k=9), False),
        (Warpers(top_p=0.999), False),
        (Warpers(min_p=0.0), True),
        (Warpers(min_p=0.2), False),
        (Warpers(0.0), False),
    ],
)
def test_what_is_a_softmax_alone(warpers, plain):
    assert warpers.is_softmax(10) is plain
    logits = np.random.default_rng(0).normal(0.0, 3.0, (1, 10))
    found = bounds.distribution_from_logits(logits, **warpers.as_dict())
    if plain:
        expected = np.exp((logits - logits.max()) / warpers.temperature)
        np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-13)
    else:
        assert (found == 0.0).any()


@pytest.mark.parametrize("door", DOORS)
def test_every_warper_is_an_argument_of_every_door_with_its_default(door):
    parameters = inspect.signature(door).parameters
    for field in dataclasses.fields(Warpers):
        assert parameters[field.name].default == field.default
