"""Refusing names that do not exist, with the nearest one that does."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from mdbound.errors import InvalidSettingError


def refuse_unknown(names: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raise for the first name that is not known.

    Args:
        names: Names as given.
        known: Names that exist.
        what: What they name, for the message.

    Raises:
        InvalidSettingError: With the nearest known name, and all of them.

    Example:
        >>> refuse_unknown(["temprature"], ["temperature", "top_k"], "key")
        Traceback (most recent call last):
        mdbound.errors.InvalidSettingError: key 'temprature' is unknown: did you mean
        'temperature'? It can be temperature, top_k
    """
    choices = list(known)
    for name in names:
        if name not in choices:
            near = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise InvalidSettingError(
                f"{what} {name!r} is unknown: {hint}It can be {', '.join(choices)}"
            )
