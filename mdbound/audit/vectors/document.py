"""The document of reference vectors: its parts, its legend and its schema."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import mdbound
from mdbound import bounds
from mdbound.audit.vectors.paths import block_vectors
from mdbound.audit.vectors.positions import position_vectors
from mdbound.audit.vectors.trees import tree_vectors
from mdbound.errors import InvalidSettingError

FORMAT_VERSION = 4

#: Random problems of a position beside the named ones, where no other number is asked for.
RANDOM_PROBLEMS = 4
_MOST_RANDOM_PROBLEMS = 1000

_LEGEND = {
    "target, draft": "probabilities, exact in float64",
    "warpers": "what is applied to both before drafting and verifying: nothing",
    "edges": "what is special about the rows: ties in p / q, p = q, zeros, point masses",
    "acceptance": "largest P(output is a drafted token) over all lossless verifiers",
    "accept step": "accept of a scheme: P(its accept step fires)",
    "membership": "P(output is a drafted token)",
    "branches": "per list of drafts its probability and the law of the output, all tokens",
    "accept": "of a path: h_1..h_L; accepted is the largest l with u_l <= h_l, or 0",
    "residual": "per accepted length 0..L the law of the next token, null if never used",
    "law": "of a path: [accepted length, next token, probability]; of a tree: [node, token, ...]",
    "node": "tokens that lead to it, separated by blanks; the empty text is the context",
    "drafted": "of a tree: per node the tokens drafted after it, in order, repeats included",
    "steps": "nodes in the order in which they are asked: accept if u <= accept, else go on",
    "selected": "paths that may be verified, and the rows that take the place of the draft's",
    "digits": "fractions to the nearest float64; what kernels compute to nine digits",
}


def reference_vectors(seed: int = 0, random_problems: int = RANDOM_PROBLEMS) -> dict[str, Any]:
    """Exact answers for tests of verification kernels, the same on every machine.

    Args:
        seed: of the random problems.
        random_problems: how many of them, beside the named ones.

    Returns:
        JSON-ready, as `schema()` says: `problems` of one position, each with `bounds` (law, n,
        acceptance, and a token set that attains it) and `schemes` (rates, and per list of drafts
        the law of the output; rates that could only be estimated are left out); drafted paths in
        `block_verification`; draft trees in `trees`.

    Raises:
        InvalidSettingError: a number of random problems below 0, or above a thousand.

    Example:
        >>> vectors = reference_vectors(random_problems=0)
        >>> len(vectors["problems"]), vectors["problems"][6]["edges"]
        (14, ['target_zero'])
    """
    if not 0 <= random_problems <= _MOST_RANDOM_PROBLEMS:
        raise InvalidSettingError(
            f"`random_problems` {random_problems}: give 0 to {_MOST_RANDOM_PROBLEMS}"
        )
    return {
        "format_version": FORMAT_VERSION,
        "mdbound_version": mdbound.__version__,
        "seed": seed,
        "legend": _LEGEND,
        "warpers": bounds.Warpers().as_dict(),
        "problems": position_vectors(seed, random_problems),
        "block_verification": block_vectors(),
        "trees": tree_vectors(),
    }


def schema() -> dict[str, Any]:
    """The JSON Schema of `reference_vectors()`, draft 2020-12.

    Example:
        >>> schema()["$schema"]
        'https://json-schema.org/draft/2020-12/schema'
    """
    text = files("mdbound.audit.vectors").joinpath("schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
