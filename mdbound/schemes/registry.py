"""The list of schemes: a class decorated with `register` can be asked for by name."""

from __future__ import annotations

import difflib
from typing import Any, TypeVar

from mdbound.errors import InvalidSettingError
from mdbound.schemes.scheme import Scheme

_registered: dict[str, type[Scheme]] = {}
SchemeClass = TypeVar("SchemeClass", bound=type[Scheme])


def register(scheme_class: SchemeClass) -> SchemeClass:
    """Add a scheme to `names()`; used as a class decorator, once per scheme file.

    Raises:
        InvalidSettingError: another class already has this name.
    """
    known = _registered.get(scheme_class.name)
    if known is not None and known.__qualname__ != scheme_class.__qualname__:
        raise InvalidSettingError(
            f"two schemes are called {scheme_class.name!r}: {known.__qualname__} and "
            f"{scheme_class.__qualname__}; rename one"
        )
    _registered[scheme_class.name] = scheme_class
    return scheme_class


def names() -> tuple[str, ...]:
    """Names of all schemes, in the order in which tables list them.

    Example:
        >>> names()[0]
        'single_draft'
    """
    return tuple(sorted(_registered, key=lambda name: (_registered[name].table_order, name)))


def get(name: str, **options: Any) -> Scheme:
    """The scheme of this name.

    Args:
        name: one of `names()`.
        **options: constructor parameters of the scheme, such as `threshold=10` for
            "importance_sampling"; each has a default.

    Raises:
        InvalidSettingError: no such scheme (the nearest name is suggested), or the scheme has no
            such parameter.

    Example:
        >>> get("k_seq").sampling
        'with_replacement'
    """
    if name not in _registered:
        near = difflib.get_close_matches(name, _registered, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InvalidSettingError(
            f"unknown scheme {name!r}: {hint}Schemes are {', '.join(names())}"
        )
    scheme_class = _registered[name]
    try:
        return scheme_class(**options)
    except TypeError as error:
        raise InvalidSettingError(f"scheme {name!r} refuses its options: {error}") from None


def fitting(num_drafts: int, *, identical: bool = True) -> tuple[str, ...]:
    """Names of the schemes that accept this many drafts (identical, or each of its own law).

    Example:
        >>> "spechub" in fitting(2), "spechub" in fitting(3)
        (True, False)
    """
    return tuple(
        name
        for name in names()
        if _registered[name].supports(num_drafts)
        and (identical or num_drafts == 1 or not _registered[name].identical_only)
    )
