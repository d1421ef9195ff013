"""Topologies by name, as papers and serving systems know them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from mdbound.errors import InvalidSettingError
from mdbound.trees.topologies.topology import Topology, delayed, full, topology_from_json

LARGEST_FILE = 1 << 20
"""Bytes of a topology's file: one of `LARGEST` nodes needs far fewer."""

EAGLE_SPARSE_25 = Topology(
    (
        *((0,), (1,), (2,), (3,)),
        *((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0)),
        *((0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 0), (0, 1, 1), (0, 2, 0), (0, 2, 1), (1, 0, 0)),
        *((0, 0, 0, 0), (0, 0, 0, 1), (0, 0, 0, 2)),
        *((0, 0, 0, 0, 0), (0, 0, 0, 0, 1)),
    )
)
"""EAGLE's static tree, `mc_sim_7b_63` in its code: 25 nodes in spite of that name. Another tree has
the same name in Medusa's code."""

NAMED: dict[str, Topology] = {"eagle_sparse_25": EAGLE_SPARSE_25}
"""Topologies with a name of their own."""

_FORMS: dict[str, Callable[..., Topology]] = {
    r"(\d{1,4})x(\d{1,4})": lambda children, depth: full((children,) * depth),
    r"delayed-(\d{1,4})-(\d{1,4})-(\d{1,4})": delayed,
}
"""Forms of names with numbers in them."""

_REMEDY = (
    "give NxL (N children at each of L depths: 2x4, 4x3; 1x5 is a chain), delayed-K-L1-L2 (a path "
    f"of L1 tokens, then K paths of L2), {', '.join(NAMED)}, or a JSON file of nodes"
)


def topology(name: str | Path) -> Topology:
    """The topology of a name or file.

    Args:
        name: `"2x4"` (2 children, depth 4: 30 nodes), `"4x3"` (84 nodes), any `"NxL"`,
            `"delayed-K-L1-L2"`, `"eagle_sparse_25"`, or a JSON file: a list of nodes, each the
            ranks of its ancestors and its own.

    Raises:
        InvalidSettingError: no such name or file, or a file that holds no topology.

    Source: `2x4` and `4x3` as Hu et al. 2025 test them ("drafts = 2, depths = 4"); Sequoia's files
    call other trees `KxL`.

    Example:
        >>> topology("4x3").size, topology("eagle_sparse_25").size
        (84, 25)
    """
    text = str(name)
    if text in NAMED:
        return NAMED[text]
    for form, make in _FORMS.items():
        found = re.fullmatch(form, text)
        if found:
            return make(*(int(number) for number in found.groups()))
    return _from_file(Path(name))


def _from_file(path: Path) -> Topology:
    if not path.is_file():
        raise InvalidSettingError(f"`topology` {str(path)!r} is no name and no file: {_REMEDY}")
    if path.stat().st_size > LARGEST_FILE:
        raise InvalidSettingError(
            f"`topology` {str(path)!r} has more than {LARGEST_FILE} bytes: {_REMEDY}"
        )
    try:
        return topology_from_json(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise InvalidSettingError(f"`topology` {str(path)!r} is no text: {_REMEDY}") from None
