"""Exact reference vectors: small problems with their optima, rates and branch probabilities.

For authors of verification kernels: whatever a kernel does with a drafted tuple, the probability
that it outputs each drafted token has to be the one listed.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mdbound
from mdbound import bounds, schemes
from mdbound.analysis.paths.path_vectors import block_vectors
from mdbound.analysis.solving.results import RENAMED_SCHEMES
from mdbound.analysis.tables.files import write_text
from mdbound.errors import CacheError
from mdbound.logits_cache.store.format_version import Format

#: Version 1 did not say how its distributions were warped: they were not. It called `nss` `naive`.
#: Version 2 had no `block_verification`.
VECTORS_FORMAT = Format("reference vectors", newest=3, oldest=1, remake="write them again")

#: Drafted tokens per problem.
NUM_DRAFTS = (1, 2, 3)

#: Name to target and draft, in binary fractions: the numbers in the file are exact.
PROBLEMS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "two tokens": ((0.25, 0.75), (0.625, 0.375)),
    "overlapping": ((0.5, 0.3125, 0.1875), (0.1875, 0.5, 0.3125)),
    "equal": ((0.5, 0.25, 0.25), (0.5, 0.25, 0.25)),
    "ties in the ratio": ((0.25, 0.25, 0.25, 0.25), (0.375, 0.375, 0.125, 0.125)),
    "target without a token": ((0.0, 0.625, 0.375), (0.5, 0.25, 0.25)),
    "draft without a token": ((0.25, 0.25, 0.5), (0.75, 0.25, 0.0)),
    "disjoint": ((0.0, 0.0, 1.0), (0.5, 0.5, 0.0)),
    "argmax draft": ((0.5, 0.375, 0.125), (1.0, 0.0, 0.0)),
    "peaked": ((0.875, 0.0625, 0.03125, 0.03125), (0.03125, 0.0625, 0.03125, 0.875)),
}

_IDENTICAL_LAWS = ("with_replacement", "without_replacement", "greedy")


def write_reference_vectors(path: Path | str) -> Path:
    """Write `reference_vectors()` as JSON.

    Returns:
        The file.

    Raises:
        OutputError: It cannot be written; a file that was there stays.
    """
    text = json.dumps(reference_vectors(), indent=1, allow_nan=False)
    return write_text(Path(path), f"{text}\n")


def read_reference_vectors(path: Path | str) -> dict[str, Any]:
    """Read what `write_reference_vectors` wrote, by this version or an older one.

    Raises:
        CacheError: The file is missing, damaged, no vectors, or of another version of the format.
    """
    path = Path(path)
    try:
        vectors = json.loads(path.read_text(encoding="utf-8"))
        version = VECTORS_FORMAT.checked(vectors["format_version"], path)
        if version < 2:
            _fill_in(vectors)
        if version < 3:
            vectors["block_verification"] = []
    except FileNotFoundError as error:
        raise CacheError(f"{path}: no such file; write one with `mdbound vectors`") from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CacheError(
            f"{path} holds no reference vectors ({error!r}); write them with `mdbound vectors`"
        ) from error
    return dict(vectors)


def _fill_in(vectors: dict[str, Any]) -> None:
    """Put into vectors of version 1 what they lack."""
    vectors["warpers"] = bounds.Warpers().as_dict()
    for problem in vectors["problems"]:
        for rate in problem["schemes"]:
            rate["scheme"] = RENAMED_SCHEMES.get(rate["scheme"], rate["scheme"])


def reference_vectors() -> dict[str, Any]:
    """Solve every problem of `PROBLEMS` for each draft law, scheme and n.

    Returns:
        JSON-ready: per problem `bounds` (law, n, acceptance, and a token set that attains it) and
        `schemes` (name, law, n, accept, membership, and per drafted tuple of positive probability
        that probability's branches). Rates that could only be estimated are left out. Beside
        them `block_verification` of drafted paths, see `block_vectors`.

    Example:
        >>> vectors = reference_vectors()
        >>> vectors["problems"][0]["bounds"][0]
        {'sampling': 'with_replacement', 'num_drafts': 1, 'acceptance': 0.625, 'subset': [0]}
    """
    return {
        "format_version": VECTORS_FORMAT.newest,
        "mdbound_version": mdbound.__version__,
        "legend": {
            "target, draft": "probabilities, exact in float64",
            "warpers": "what is applied to both before drafting and verifying: nothing",
            "acceptance": "largest P(output is a drafted token) over all lossless verifiers",
            "accept step": "accept of a scheme: P(its accept step fires)",
            "membership": "P(output is a drafted token)",
            "branches": "per drafted tuple, P(output = token | tuple) of its distinct tokens",
            "accept": "of a path: h_1..h_L; accepted is the largest l with u_l <= h_l, or 0",
            "residual": "per accepted length 0..L the law of the next token, null if never used",
            "law": "per path [accepted length, next token, probability]",
        },
        "warpers": bounds.Warpers().as_dict(),
        "problems": [_problem(name, *pair) for name, pair in PROBLEMS.items()],
        "block_verification": block_vectors(),
    }


def _problem(name: str, target: tuple[float, ...], draft: tuple[float, ...]) -> dict[str, Any]:
    p, q = np.array(target), np.array(draft)
    return {
        "name": name,
        "target": list(target),
        "draft": list(draft),
        "bounds": [_bound(p, q, n, law) for law in _IDENTICAL_LAWS for n in NUM_DRAFTS],
        "schemes": [
            rate for name in schemes.names() for n in NUM_DRAFTS for rate in _rates(name, p, q, n)
        ],
    }


def _bound(p: NDArray[np.float64], q: NDArray[np.float64], n: int, law: str) -> dict[str, Any]:
    solution = bounds.solve(p, q, n, law)
    return {
        "sampling": law,
        "num_drafts": n,
        "acceptance": solution.acceptance,
        "subset": solution.subset.tolist(),
    }


def _rates(
    name: str, p: NDArray[np.float64], q: NDArray[np.float64], n: int
) -> Iterator[dict[str, Any]]:
    scheme = schemes.get(name)
    if not scheme.supports(n):
        return
    rate = scheme.acceptance(p, q, n)
    if rate.standard_error == 0.0:
        yield {
            "scheme": name,
            "sampling": scheme.sampling,
            "num_drafts": n,
            "accept": float(rate.accept),
            "membership": float(rate.membership),
            "branches": [
                {"drafted": list(drafted), "output": _branches(scheme, p, q, drafted)}
                for drafted in itertools.product(range(len(p)), repeat=n)
                if scheme.possible([q] * n, drafted)
            ],
        }


def _branches(
    scheme: schemes.Scheme,
    p: NDArray[np.float64],
    q: NDArray[np.float64],
    drafted: tuple[int, ...],
) -> dict[str, float]:
    found = scheme.branch_probabilities(p, q, drafted)
    return {str(token): float(value) for token, value in found.items()}
