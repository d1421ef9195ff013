"""The draft laws by name, and tables by the name of a law.

A new law is a `DraftLaw` in a folder of its own under `laws/` and one entry here, or a class of
yours passed to `register_law`.
"""

from __future__ import annotations

from collections.abc import KeysView, Mapping
from typing import TypeVar

from mdbound.bounds.laws.draft_law import DraftLaw
from mdbound.bounds.laws.greedy.law import Greedy
from mdbound.bounds.laws.independent.law import Independent
from mdbound.bounds.laws.with_replacement.law import WithReplacement
from mdbound.bounds.laws.without_replacement.law import WithoutReplacement
from mdbound.errors import InvalidSettingError, refuse_unknown

LawClass = TypeVar("LawClass", bound=type[DraftLaw])
Entry = TypeVar("Entry")

_LAWS: dict[str, DraftLaw] = {
    law.name: law for law in (WithReplacement(), WithoutReplacement(), Greedy(), Independent())
}

SAMPLING_LAWS: KeysView[str] = _LAWS.keys()
"""Every value that `sampling=` takes, in the order of tables; `register_law` adds to it."""


def register_law(law_class: LawClass) -> LawClass:
    """Add a draft law, so that `sampling=` takes its name; used as a class decorator.

    The law is then solved wherever its own methods are enough: `optimal_acceptance`, the curves,
    `solve`, `containment`. What needs more of a law looks it up in a table of its own (device
    kernels, certificates, draft sets, the canonical decomposition) and refuses a law that has no
    entry there, by name; tensors of such a law are solved on the host.

    Args:
        law_class: a `DraftLaw` whose constructor takes nothing.

    Raises:
        InvalidSettingError: another class already has this name.

    Example:
        >>> from mdbound.bounds.laws.greedy.law import Greedy
        >>> register_law(Greedy) is Greedy
        True
    """
    known = _LAWS.get(law_class.name)
    if known is not None and type(known).__qualname__ != law_class.__qualname__:
        raise InvalidSettingError(
            f"two draft laws are called {law_class.name!r}: {type(known).__qualname__} and "
            f"{law_class.__qualname__}; rename one"
        )
    _LAWS[law_class.name] = law_class()
    return law_class


def draft_law(name: str) -> DraftLaw:
    """The draft law of this name.

    Raises:
        InvalidSettingError: no such law; names the nearest.

    Example:
        >>> draft_law("greedy").name
        'greedy'
    """
    refuse_unknown([name], SAMPLING_LAWS, "`sampling`")
    return _LAWS[name]


def entry_of_law(table: Mapping[str, Entry], name: str, what: str, instead: str = "") -> Entry:
    """The entry of a table by draft law, or a refusal that names the law and those of the table.

    Args:
        table: entries by the name of the law.
        name: the draft law.
        what: what the table offers, in the plural, for the message.
        instead: what to do without, for the message.

    Raises:
        InvalidSettingError: no such law, or the table has no entry for it.

    Example:
        >>> entry_of_law({"greedy": 1}, "independent", "certificates")
        Traceback (most recent call last):
        mdbound.errors.InvalidSettingError: sampling is 'independent', and certificates exist for
        greedy only
    """
    law = draft_law(name)
    if law.name in table:
        return table[law.name]
    advice = f": {instead}" if instead else ""
    raise InvalidSettingError(
        f"sampling is {name!r}, and {what} exist for {', '.join(table)} only{advice}"
    )
