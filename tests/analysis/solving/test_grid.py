from __future__ import annotations

import pytest

from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.setting import SolveSetting
from mdbound.bounds import Warpers
from mdbound.errors import InvalidSettingError

DRAFTS = ("small", "smaller")


def test_each_draft_and_draft_temperature_is_a_setting_of_its_own() -> None:
    grid = SolveGrid(sampling=("greedy",), draft_temperatures=(1.2, 2.0))
    found = [(each.drafts, each.draft_temperatures) for each in grid.settings(DRAFTS)]
    assert found == [
        (("small",), (1.2,)),
        (("small",), (2.0,)),
        (("smaller",), (1.2,)),
        (("smaller",), (2.0,)),
    ]


def test_draft_temperature_is_the_targets_when_left_out() -> None:
    settings = SolveGrid(temperatures=(0.7, 1.0)).settings(["small"])
    assert {(each.warpers.temperature, each.draft_temperatures) for each in settings} == {
        (0.7, (0.7,)),
        (1.0, (1.0,)),
    }


def test_draft_temperatures_can_mix_the_targets_own_with_numbers() -> None:
    grid = SolveGrid(temperatures=(0.7, 1.0), draft_temperatures=(0.0, None))
    found = {
        (each.warpers.temperature, each.draft_temperatures) for each in grid.settings(["small"])
    }
    assert found == {(0.7, (0.0,)), (0.7, (0.7,)), (1.0, (0.0,)), (1.0, (1.0,))}


def test_sets_of_temperatures_need_one_draft_or_as_many() -> None:
    sets = {"sampling": ("independent",), "draft_temperature_sets": ((1.2, 1.0, 2.0),)}
    (one,) = SolveGrid(**sets, drafts=("small",)).settings(DRAFTS)
    assert (one.drafts, one.draft_temperatures) == (("small",) * 3, (1.2, 1.0, 2.0))
    with pytest.raises(InvalidSettingError, match="one temperature per draft, or name one draft"):
        SolveGrid(**sets).settings(DRAFTS)


def test_independent_drafts_are_models_or_temperatures_of_one_model() -> None:
    models = SolveGrid(sampling=("independent",), drafts=("smaller", "small")).settings(DRAFTS)
    assert [each.drafts for each in models] == [("smaller", "small")]
    assert models[0].num_drafts == (1, 2)
    assert (models[0].draft_label, models[0].draft_temperatures_label) == ("smaller|small", "1.0")

    grid = SolveGrid(sampling=("independent",), draft_temperatures=(0.8, 1.0, 1.2))
    (one,) = grid.settings(["small"])
    assert (one.drafts, one.num_drafts) == (("small",) * 3, (1, 2, 3))
    assert (one.draft_label, one.draft_temperatures_label) == ("small", "0.8|1.0|1.2")


def test_repeated_values_are_solved_once() -> None:
    assert len(SolveGrid(temperatures=(1.0, 1.0)).settings(["small"])) == 2


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (
            SolveGrid(sampling=("with",)),
            "`sampling` 'with' is .*with_replacement, without",
        ),
        (SolveGrid(sampling=()), "`sampling` is empty"),
        (SolveGrid(temperatures=(-1.0,)), r"`temperatures` -1\.0: .*>= 0"),
        (SolveGrid(temperatures=(float("nan"),)), "`temperatures` nan"),
        (SolveGrid(draft_temperatures=(float("inf"),)), "`draft_temperatures` inf"),
        (SolveGrid(top_k=(0,)), "`top_k` 0: .*>= 1"),
        (SolveGrid(top_p=(0.0,)), r"`top_p` 0\.0: .*\(0, 1\]"),
        (SolveGrid(top_p=(1.5,)), r"`top_p` 1\.5"),
        (SolveGrid(min_p=(-0.1,)), r"`min_p` -0\.1: .*\[0, 1\]"),
        (SolveGrid(min_p=(float("nan"),)), "`min_p` nan"),
        (SolveGrid(num_drafts=(0,)), "`num_drafts` 0"),
        (
            SolveGrid(drafts=("smal",)),
            "`drafts` 'smal' is .*did you mean 'small'.*small, smaller",
        ),
        (SolveGrid(drafts=("x",)), "`drafts` 'x' is unknown: it can be small, smaller"),
        (
            SolveGrid(sampling=("independent",), drafts=("small",)),
            "only one draft distribution.*`draft_temperatures` 1.2,2.0",
        ),
        (SolveGrid(sampling=("independent",), num_drafts=(3, 4)), "n is at most 2"),
    ],
)
def test_values_out_of_range_name_the_option_and_the_remedy(grid: SolveGrid, message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        grid.settings(DRAFTS)


def test_a_cache_without_drafts_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match=r"no draft model.*`add_drafts`"):
        SolveGrid().settings([])


def test_a_setting_as_json_values_names_every_field() -> None:
    values = SolveSetting("greedy", ("small",), Warpers(), (1.0,), (1,)).as_dict()
    assert values["drafts"] == ["small"]
    assert set(values) == set(SolveSetting.__dataclass_fields__)
