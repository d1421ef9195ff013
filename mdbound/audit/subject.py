"""Which rule to audit: a function by its name, or one of this project's own."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mdbound import schemes, trees
from mdbound.errors import AuditError, refuse_unknown
from mdbound.paths.tiny.kernels import KERNELS

OWN: dict[str, Callable[[], tuple[str, ...]]] = {
    "position": schemes.names,
    "path": lambda: tuple(KERNELS),
    "tree": trees.names,
}
"""Names of our own rules, by kind."""


def load_function(name: str) -> Callable[..., Any]:
    """The function `module:function`, found from the working folder as Python finds modules.

    Importing a module runs its code.

    Raises:
        AuditError: no such module or function, or its code raised; names it.

    Example:
        >>> load_function("math:floor")(2.5)
        2
    """
    module_name, _, function_name = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise AuditError(
            f"{name}: module {module_name!r} cannot be imported ({type(error).__name__}: {error}); "
            "run from the folder that it is in, or install it"
        ) from error
    found: Any = module
    for part in function_name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise AuditError(f"{name}: {module_name!r} has no function {function_name!r}")
    return found  # type: ignore[no-any-return]


def kind_of(name: str) -> str:
    """What a name of ours is a rule for; the first of position, path and tree that has it.

    Raises:
        InvalidSettingError: no such rule, with the nearest name.

    Example:
        >>> kind_of("k_seq"), kind_of("block"), kind_of("traversal")
        ('position', 'path', 'tree')
    """
    known = [each for names in OWN.values() for each in names()]
    refuse_unknown([name], dict.fromkeys(known), "rule")
    return next(kind for kind, names in OWN.items() if name in names())
