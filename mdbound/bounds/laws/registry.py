"""The draft laws by name. A new one is a `DraftLaw` in a file of its own and one entry here."""

from __future__ import annotations

import difflib

from mdbound.bounds.laws.draft_law import DraftLaw
from mdbound.bounds.laws.greedy.law import Greedy
from mdbound.bounds.laws.independent.law import Independent
from mdbound.bounds.laws.with_replacement.law import WithReplacement
from mdbound.bounds.laws.without_replacement.law import WithoutReplacement
from mdbound.errors import InvalidSettingError

_LAWS: dict[str, DraftLaw] = {
    law.name: law for law in (WithReplacement(), WithoutReplacement(), Greedy(), Independent())
}

SAMPLING_LAWS: tuple[str, ...] = tuple(_LAWS)
"""Every value that `sampling=` takes."""


def draft_law(name: str) -> DraftLaw:
    """The draft law of this name.

    Raises:
        InvalidSettingError: no such law; names the nearest.

    Example:
        >>> draft_law("greedy").name
        'greedy'
    """
    if name in _LAWS:
        return _LAWS[name]
    near = difflib.get_close_matches(name, _LAWS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise InvalidSettingError(
        f"sampling is {name!r}: choose one of {', '.join(SAMPLING_LAWS)}{hint}"
    )
