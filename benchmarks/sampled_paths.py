"""Verifiers run over captured paths, beside their exact laws.

    python -m benchmarks.sampled_paths CACHE

For every path that a draft drew (`mdbound capture --paths`) the verifier is run once for each draft
length, as a server would run it; beside the mean of accepted tokens stands what `accepted_tail`
says of the same paths, with no verification drawn. The difference of the two has mean 0: it is
given in standard errors over documents.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mdbound import paths
from mdbound.bounds import Warpers, distribution_from_logits
from mdbound.logits_cache import LogitsCache

SCHEMES = ("match", "single_draft", "block", "asps")


def accepted(cache: LogitsCache, seed: int) -> Iterator[tuple[int, str, int, float, float]]:
    """Document, scheme, L, tokens accepted in a run and their mean given the path."""
    warpers = Warpers.from_dict(cache.manifest.generation.warpers or {}).as_dict()
    rng = np.random.default_rng(seed)
    for captured in cache.iter_paths(cache.path_draft_names[0]):
        for k, path in enumerate(captured.tokens):
            p = distribution_from_logits(captured.target_logits[k], **warpers)
            q = distribution_from_logits(captured.draft_logits[k], **warpers)
            at = np.arange(len(path))
            with np.errstate(divide="ignore"):
                lp, lq = np.log(p[at, path]), np.log(q[at, path])
            for scheme in SCHEMES:
                for length in range(1, len(path) + 1):
                    run = paths.sample_path(
                        p[: length + 1], q[:length], path[:length].tolist(), rng, scheme
                    )
                    tail = paths.accepted_tail(lp[:length], lq[:length], scheme, side="draft")
                    yield captured.doc_id, scheme, length, float(run.accepted[0]), tail.sum()


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cache", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found: dict[tuple[str, int], dict[int, list[tuple[float, float]]]] = {}
    for doc, scheme, length, run, exact in accepted(
        LogitsCache.open(arguments.cache), arguments.seed
    ):
        found.setdefault((scheme, length), {}).setdefault(doc, []).append((run, exact))
    count = sum(map(len, found[SCHEMES[0], 1].values()))
    print(f"{count} paths of {len(found[SCHEMES[0], 1])} documents, accepted tokens of a call.\n")
    print("| verification | L | run | exact, given the paths | difference / standard error |")
    print("|---|---:|---:|---:|---:|")
    for (scheme, length), by_document in found.items():
        run, exact, error = summary([np.array(pairs) for pairs in by_document.values()])
        ratio = (run - exact) / error if error > 0.0 else 0.0
        print(f"| {scheme} | {length} | {run:.3f} | {exact:.3f} | {ratio:+.1f} |")


def summary(documents: list[npt.NDArray[np.float64]]) -> tuple[float, float, float]:
    """Means of runs and of exact values, and the standard error of their difference."""
    sums = np.array([[len(pairs), *pairs.sum(axis=0)] for pairs in documents])
    run, exact = sums[:, 1:].sum(axis=0) / sums[:, 0].sum()
    differences = sums[:, 1] - sums[:, 2] - sums[:, 0] * (run - exact)
    return float(run), float(exact), float(np.sqrt((differences**2).sum()) / sums[:, 0].sum())


if __name__ == "__main__":
    main()
