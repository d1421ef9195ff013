"""Verifiers run over captured paths, beside their exact laws.

    python -m benchmarks.sampled_paths CACHE
    python -m benchmarks.sampled_paths CACHE --figure FILE      points on the exact curves, too

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
    parser.add_argument("--figure", type=Path, help="draw the runs on the exact curves")
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
    summaries = {
        key: summary([np.array(pairs) for pairs in by_document.values()])
        for key, by_document in found.items()
    }
    for (scheme, length), (run, exact, error) in summaries.items():
        ratio = (run - exact) / error if error > 0.0 else 0.0
        print(f"| {scheme} | {length} | {run:.3f} | {exact:.3f} | {ratio:+.1f} |")
    if arguments.figure is not None:
        draw(summaries, arguments.figure)


def draw(summaries: dict[tuple[str, int], tuple[float, float, float]], out: Path) -> None:
    """Exact curves as lines, runs as points with two standard errors of their difference."""
    from mdbound.analysis.figures.drawing import Drawing
    from mdbound.analysis.figures.layout import arrange, new_figure
    from mdbound.analysis.figures.path_kinds import rule_style
    from mdbound.analysis.figures.save import write_as
    from mdbound.analysis.figures.style import figure_settings

    with figure_settings():
        figure, (axes,) = new_figure()
        for scheme in SCHEMES:
            if scheme == "asps":
                continue  # its line is that of block verification, and so are its points
            lengths = [length for name, length in summaries if name == scheme]
            run, exact, error = np.array([summaries[scheme, length] for length in lengths]).T
            label, style = rule_style(scheme)
            axes.plot(lengths, exact, color=style.colour, linestyle=style.dashes, label=label)
            axes.errorbar(
                *(lengths, run, 2.0 * error),
                color=style.colour,
                linestyle="",
                marker=style.marker,
                elinewidth=0.8,
                label=f"{label}, run",
            )
        axes.set_xlabel("drafted tokens $L$")
        axes.set_ylabel("accepted tokens")
        arrange(figure, [axes], panel_height=1.9)
    caption = "Verifiers run once on each captured path, on the exact values given the paths."
    write_as(Drawing("sampled-paths", figure, caption), out)


def summary(documents: list[npt.NDArray[np.float64]]) -> tuple[float, float, float]:
    """Means of runs and of exact values, and the standard error of their difference."""
    sums = np.array([[len(pairs), *pairs.sum(axis=0)] for pairs in documents])
    run, exact = sums[:, 1:].sum(axis=0) / sums[:, 0].sum()
    differences = sums[:, 1] - sums[:, 2] - sums[:, 0] * (run - exact)
    return float(run), float(exact), float(np.sqrt((differences**2).sum()) / sums[:, 0].sum())


if __name__ == "__main__":
    main()
