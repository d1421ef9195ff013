"""The table of schemes: a class decorated with `register` can be asked for by name."""

from __future__ import annotations

from typing import Any, TypeVar

from mdbound.errors import InvalidSettingError, refuse_unknown
from mdbound.schemes.contract.facts import names, record
from mdbound.schemes.contract.scheme import Scheme

_registered: dict[str, type[Scheme]] = {}
SchemeClass = TypeVar("SchemeClass", bound=type[Scheme])

_AMBIGUOUS = {
    "naive": "ask for 'nss' (sample from the target, then look whether the token was drafted: what "
    "earlier versions of mdbound called 'naive') or for 'first_draft' (test the first draft only: "
    "what papers call naive)",
}
"""Names that mean one thing in papers and another in old results: refused, with what to ask for."""


def register(scheme_class: SchemeClass) -> SchemeClass:
    """Add a scheme to `names()`; used as a class decorator, once per scheme file.

    Raises:
        InvalidSettingError: another class already has this name, or the name stands for more than
            one scheme.
    """
    name = scheme_class.name
    known = _registered.get(name)
    if known is not None and known.__qualname__ != scheme_class.__qualname__:
        raise InvalidSettingError(
            f"two schemes are called {name!r}: {known.__qualname__} and "
            f"{scheme_class.__qualname__}; rename one"
        )
    if name in _AMBIGUOUS:
        raise InvalidSettingError(
            f"a scheme cannot be called {name!r}, which stands for two: {_AMBIGUOUS[name]}"
        )
    _registered[name] = scheme_class
    record(scheme_class.facts())
    return scheme_class


def refuse_ambiguous(name: str) -> None:
    """Refuse a name that stands for two schemes, wherever schemes are asked for by name.

    Raises:
        InvalidSettingError: with the names to ask for instead.

    Example:
        >>> refuse_ambiguous("naive")
        Traceback (most recent call last):
        mdbound.errors.InvalidSettingError: scheme 'naive' stands for two: ask for 'nss' (sample
        from the target, then look whether the token was drafted: what earlier versions of mdbound
        called 'naive') or for 'first_draft' (test the first draft only: what papers call naive)
    """
    if name in _AMBIGUOUS:
        raise InvalidSettingError(f"scheme {name!r} stands for two: {_AMBIGUOUS[name]}")


def get(name: str, **options: Any) -> Scheme:
    """The scheme of this name.

    Args:
        name: one of `names()`.
        **options: constructor parameters of the scheme, such as `threshold=10` for
            "importance_sampling"; each has a default.

    Raises:
        InvalidSettingError: no such scheme (the nearest name is suggested), a name that stands for
            two, or the scheme has no such parameter.

    Example:
        >>> from mdbound import schemes
        >>> schemes.get("k_seq").sampling
        'with_replacement'
    """
    refuse_ambiguous(name)
    refuse_unknown([name], names(), "scheme")
    scheme_class = _registered[name]
    try:
        return scheme_class(**options)
    except TypeError as error:
        raise InvalidSettingError(f"scheme {name!r} refuses its options: {error}") from None
