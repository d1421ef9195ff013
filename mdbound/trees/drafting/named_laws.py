"""Laws of trees that no topology and law of lists make: by name, as a command line gives them."""

from __future__ import annotations

import re
from collections.abc import Callable

from mdbound.errors import InvalidSettingError
from mdbound.trees.drafting.delayed_paths import DelayedPaths
from mdbound.trees.drafting.likely_tree import LikelyTree
from mdbound.trees.drafting.tree_law import TreeLaw

_FORMS: dict[str, Callable[..., TreeLaw]] = {
    r"likeliest-(\d{1,4})-(\d{1,3})-(\d{1,4})": LikelyTree,
    r"delayed-paths-(\d{1,4})-(\d{1,3})-(\d{1,3})": DelayedPaths,
    r"eagle-2": LikelyTree,
}
"""Names, with the numbers in them; EAGLE-2's are the defaults of its code."""

NAMES = (
    "eagle-2, likeliest-TOTAL-DEPTH-WIDTH (the likeliest nodes under the draft, of WIDTH looked at "
    "in a level), delayed-paths-K-L1-L2 (a path of L1 tokens, then K independent ones of L2)"
)
"""The forms, for messages."""


def is_named_law(name: str) -> bool:
    """Whether `named_law` knows the name.

    Example:
        >>> is_named_law("eagle-2"), is_named_law("2x4")
        (True, False)
    """
    return any(re.fullmatch(form, name) for form in _FORMS)


def named_law(name: str) -> TreeLaw:
    """The law of a name.

    Args:
        name: `"eagle-2"`, `"likeliest-TOTAL-DEPTH-WIDTH"` or `"delayed-paths-K-L1-L2"`.

    Raises:
        InvalidSettingError: no such name, or a number below 1.

    Example:
        >>> named_law("eagle-2").title()
        'tree of the 60 likeliest nodes, depth 5, width 10'
    """
    for form, make in _FORMS.items():
        found = re.fullmatch(form, name)
        if found:
            return make(*(int(number) for number in found.groups()))
    raise InvalidSettingError(f"`tree` {name!r} is no law of trees: give {NAMES}")
