"""Time of the tokens per call of one drafted path: from log-probabilities, and from rows.

    python -m benchmarks.paths                    a table
    python -m benchmarks.paths --json FILE        the same with versions and processor

The first part is seconds for 100,000 positions in memory. The second is the time of the exact last
level of one text, as a ratio to a float64 softmax of the text's rows under both models, timed side
by side in one process on one thread; compilation is kept apart by a first call.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numba
import numpy as np

from benchmarks.schemes import fused_softmax
from benchmarks.side_by_side import SIZES, environment, fastest, synthetic_logits
from mdbound import bounds, paths
from mdbound.paths.last_level import LAST_LEVELS

POSITIONS = 100_000
DOCUMENT = 250
"""Tokens of a document; more documents cost more calls of the checks."""
SCHEMES = ("match", "single_draft", "block", "joint")
DRAFT_LENGTH = 8
ROWS = 24
"""Tokens of the text whose rows are read: 2 x 24 rows of float64 are 58 MB at V = 151,936."""


def documents() -> list[tuple[Any, Any]]:
    """Log-probabilities of texts whose draft resembles the target."""
    rng = np.random.default_rng(0)
    texts = []
    for _ in range(POSITIONS // DOCUMENT):
        target = -rng.gamma(1.0, 1.0, DOCUMENT)
        texts.append((target, np.minimum(target + rng.normal(-0.3, 0.8, DOCUMENT), 0.0)))
    return texts


def measure_logprobs(repeats: int) -> list[dict[str, Any]]:
    """Both tails and the calls of all texts: at L = 8, and at every L up to 8."""
    texts = documents()
    lengths = {"L=8": [DRAFT_LENGTH], "L=1..8": list(range(1, DRAFT_LENGTH + 1))}

    def tally(which: list[int]) -> None:
        for target, draft in texts:
            paths.tally_texts(target, draft, which, SCHEMES)

    calls = {name: lambda which=which: tally(which) for name, which in lengths.items()}
    return [
        {"what": name, "positions": POSITIONS, "schemes": len(SCHEMES), "seconds": seconds}
        for name, seconds in fastest(calls, repeats).items()
    ]


def measure_last_level(vocab_size: int, repeats: int) -> list[dict[str, Any]]:
    """Exact last levels of one text, over the softmax of its rows: at once, and row by row."""
    logits = synthetic_logits("realistic", ROWS, vocab_size)
    p, q = (bounds.distribution_from_logits(one) for one in logits)
    out = np.empty(vocab_size), np.empty(vocab_size)
    text = p.argmax(axis=1)
    target, draft = (np.log(one[np.arange(ROWS), text]) for one in (p, q))

    def softmax() -> None:
        for row in range(ROWS):
            fused_softmax(logits[0][row], logits[1][row], *out)

    def exact(scheme: str) -> None:
        paths.last_level_tail([(p, q)], target, draft, DRAFT_LENGTH, scheme)

    before = [
        np.array([np.r_[np.full(DRAFT_LENGTH - 1, np.nan), one][i : i + DRAFT_LENGTH - 1]
                  for i in range(ROWS)])
        for one in (target, draft)
    ]  # fmt: skip

    def by_rows(scheme: str) -> None:
        paths.last_level_of_rows(p, q, *before, scheme)

    calls: dict[str, Any] = {"softmax": softmax}
    for scheme in LAST_LEVELS:
        calls[scheme] = lambda scheme=scheme: exact(scheme)
        calls[f"{scheme} by rows"] = lambda scheme=scheme: by_rows(scheme)
    seconds = fastest(calls, repeats)
    base = seconds.pop("softmax")
    return [
        {"scheme": scheme, "vocab_size": vocab_size, "seconds": one, "ratio": one / base}
        for scheme, one in seconds.items()
    ]


def main() -> None:
    """Parse the command line, measure, print and optionally write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--json", type=Path, help="write entries, versions and processor here")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    arguments = parser.parse_args()
    numba.set_num_threads(1)
    entries = measure_logprobs(arguments.repeats)
    for one in entries:
        print(f"{one['positions']} positions x {one['what']} x {one['schemes']} schemes: "
              f"{one['seconds']:.2f} s")  # fmt: skip
    for vocab_size in arguments.sizes:
        found = measure_last_level(vocab_size, arguments.repeats)
        cells = "  ".join(f"{one['scheme']} {one['ratio']:.2f}" for one in found)
        print(f"exact last level, L = {DRAFT_LENGTH}, V = {vocab_size}, over softmax: {cells}")
        entries += found
    if arguments.json:
        report = {"environment": environment() | {"threads": "1"}, "entries": entries}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
