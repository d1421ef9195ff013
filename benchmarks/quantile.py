"""Time of quantile-score selection on a text, as a ratio to the softmax of its rows.

    python -m benchmarks.quantile                 a table
    python -m benchmarks.quantile --json FILE     the same with versions and processor

Rows are read once for the masses of their classes; what is then computed for K paths of L tokens
needs those alone. Everything is timed side by side in one process on one thread; compilation is
kept apart by a first call.
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
from mdbound import bounds
from mdbound.trees.verifiers.quantile.class_masses import class_masses
from mdbound.trees.verifiers.quantile.on_text import quantile_text_tail

ROWS = 48
"""Tokens of the text: 2 x 48 rows of float64 are 117 MB at V = 151,936."""
LENGTHS, PATHS = range(1, 9), range(2, 9)


def measure(vocab_size: int, repeats: int) -> list[dict[str, Any]]:
    """Classes of the rows, one tail, and all tails, over the softmax of the rows."""
    logits = synthetic_logits("realistic", ROWS, vocab_size)
    p, q = (bounds.distribution_from_logits(one) for one in logits)
    out = np.empty(vocab_size), np.empty(vocab_size)
    text = p.argmax(axis=1)
    target, draft = (np.log(one[np.arange(ROWS), text]) for one in (p, q))
    classes = class_masses(p, q, text)

    def softmax() -> None:
        for row in range(ROWS):
            fused_softmax(logits[0][row], logits[1][row], *out)

    def all_tails() -> None:
        found = class_masses(p, q, text)
        for count in PATHS:
            for length in LENGTHS:
                quantile_text_tail(target, draft, found, length, count)

    seconds = fastest(
        {
            "softmax": softmax,
            "classes of the rows": lambda: class_masses(p, q, text),
            "one L, K, from classes": lambda: quantile_text_tail(target, draft, classes, 8, 4),
            "rows to all L = 1..8, K = 2..8": all_tails,
        },
        repeats,
    )
    base = seconds.pop("softmax")
    return [
        {"what": what, "vocab_size": vocab_size, "seconds": one, "ratio": one / base}
        for what, one in seconds.items()
    ]


def main() -> None:
    """Parse the command line, measure, print and optionally write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--json", type=Path, help="write entries, versions and processor here")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    options = parser.parse_args()
    numba.set_num_threads(1)
    entries = [entry for size in options.sizes for entry in measure(size, options.repeats)]
    for entry in entries:
        print(f"{entry['what']:32} V = {entry['vocab_size']:7,}  {entry['ratio']:6.2f} softmaxes")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        document = {"environment": environment(), "entries": entries}
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
