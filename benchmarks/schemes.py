"""Time of each scheme's exact rate, as a ratio to a fused float64 softmax of the two rows.

    python -m benchmarks.schemes                    a table
    python -m benchmarks.schemes --json FILE        the same with versions and processor

Everything runs in one process on one thread; compilation is kept apart by a first call. A time is
the fastest of several repeats, interleaved with the softmax so that both see the same machine. The
timed call is the public one, checks of its input included.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import njit

from benchmarks.side_by_side import SIZES, environment, fastest
from mdbound import bounds, schemes
from mdbound.bounds.numerics.fused_softmax import softmax_into

COUNTS = (1, 2, 3, 4, 8)
SHAPES = {"flat": 1.5, "peaked": 6.0}
"""Standard deviation of the synthetic target logits."""


@njit(cache=True, nogil=True)
def fused_softmax(target: Any, draft: Any, p: Any, q: Any) -> None:
    """Softmax of two float32 rows by the package's own kernel, with its vectorised exp."""
    softmax_into(target, 1.0, p)
    softmax_into(draft, 1.0, q)


def logits_pair(vocab_size: int, spread: float) -> tuple[Any, Any]:
    """Correlated synthetic logits of a target and a draft."""
    rng = np.random.default_rng(vocab_size)
    target = spread * rng.normal(size=vocab_size)
    return target, 0.9 * target + 0.4 * spread * rng.normal(size=vocab_size)


def measure(vocab_size: int, shape: str, repeats: int) -> list[dict[str, Any]]:
    """One entry per scheme and number of drafts."""
    target, draft = logits_pair(vocab_size, SHAPES[shape])
    p, q = bounds.distribution_from_logits(target), bounds.distribution_from_logits(draft)
    rows = target.astype(np.float32), draft.astype(np.float32)
    out = (np.empty_like(target), np.empty_like(draft))
    softmax = fastest({"": lambda: fused_softmax(*rows, *out)}, 5 * repeats)[""]
    entries = []
    for name in schemes.names():
        scheme = schemes.get(name)
        supported = [n for n in COUNTS if scheme.supports(n)]
        calls: dict[str, Callable[[], object]] = {
            str(n): lambda n=n, scheme=scheme: scheme.acceptance(p, q, n)  # type: ignore[misc]
            for n in supported
        }
        for n, seconds in fastest(calls, repeats).items():
            entries.append(
                {
                    "scheme": name,
                    "num_drafts": int(n),
                    "vocab_size": vocab_size,
                    "shape": shape,
                    "seconds": seconds,
                    "softmax_seconds": softmax,
                    "ratio": seconds / softmax,
                    "standard_error": float(scheme.acceptance(p, q, int(n)).standard_error),
                }
            )
    return entries


def print_table(entries: list[dict[str, Any]]) -> None:
    """Ratios to softmax: a row per scheme and shape, a column per vocabulary size and n."""
    for vocab_size in sorted({e["vocab_size"] for e in entries}):
        softmax = next(e["softmax_seconds"] for e in entries if e["vocab_size"] == vocab_size)
        print(f"\nV = {vocab_size}: softmax of two rows {1e3 * softmax:.3f} ms; ratios to it")
        print(f"{'scheme':26}{'shape':8}" + "".join(f"{f'n={n}':>9}" for n in COUNTS))
        for scheme in schemes.names():
            for shape in SHAPES:
                cells = {
                    e["num_drafts"]: f"{e['ratio']:.2f}" + ("*" if e["standard_error"] else "")
                    for e in entries
                    if (e["scheme"], e["shape"], e["vocab_size"]) == (scheme, shape, vocab_size)
                }
                row = "".join(f"{cells.get(n, '-'):>9}" for n in COUNTS)
                print(f"{scheme:26}{shape:8}{row}")
    print("\n* estimated (conditional Monte Carlo with a standard error); all others are exact")


def main() -> None:
    """Parse the command line, measure, print and optionally write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--json", type=Path, help="write entries, versions and processor here")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    arguments = parser.parse_args()
    numba.set_num_threads(1)
    entries = [
        entry
        for vocab_size in arguments.sizes
        for shape in SHAPES
        for entry in measure(vocab_size, shape, arguments.repeats)
    ]
    print_table(entries)
    if arguments.json:
        report = {"environment": environment() | {"threads": "1"}, "entries": entries}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
