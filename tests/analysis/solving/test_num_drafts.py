from __future__ import annotations

import pytest

from mdbound.analysis.solving.num_drafts import parse_num_drafts
from mdbound.errors import InvalidSettingError


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1-4", (1, 2, 3, 4)), ("1,2,4", (1, 2, 4)), ("8,2-3,2", (2, 3, 8)), (" 3 ", (3,))],
)
def test_num_drafts_are_ranges_and_lists(text: str, expected: tuple[int, ...]) -> None:
    assert parse_num_drafts(text) == expected


@pytest.mark.parametrize("text", ["0", "0-3", "4-2", "two", "1-", "-2", "", ",", "1.5", "1-99999"])
def test_num_drafts_that_make_no_sense_are_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(InvalidSettingError, match=r"`num_drafts`.*1-8"):
        parse_num_drafts(text)
