from __future__ import annotations

from mdbound import bounds
from mdbound.analysis.demo import demo_settings


def test_the_demo_solves_every_law_for_one_to_eight_drafts() -> None:
    settings = demo_settings(("tiny-draft",))
    assert {each.sampling for each in settings} == set(bounds.SAMPLING_LAWS)
    assert {each.num_drafts for each in settings} == {tuple(range(1, 9))}


def test_one_draft_is_the_same_problem_under_every_law() -> None:
    first = {
        (each.warpers.temperature, each.drafts[0], each.draft_temperatures[0])
        for each in demo_settings(("tiny-draft",))
    }
    assert first == {(1.0, "tiny-draft", 1.0)}
