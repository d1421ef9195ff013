"""A context's tree -> rows of the results: what each verifier accepts of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mdbound import trees
from mdbound.analysis.offsets.chosen_offsets import ChosenOffsets
from mdbound.analysis.trees.captured_law import CapturedLaw
from mdbound.analysis.trees.contexts import ContextTree, Floats
from mdbound.analysis.trees.depth_terms import depth_terms, has_depth_terms
from mdbound.analysis.trees.tree_grid import DEPTH_BOUND, TreeGrid
from mdbound.errors import InvalidSettingError
from mdbound.paths.tiny.model import Prefix
from mdbound.trees import DraftedTree, TreeLaw
from mdbound.trees.drafting.paths_law import Paths
from mdbound.trees.verifiers.rows import one_draft
from mdbound.trees.verifiers.verifier import DraftRows, RunnableVerifier

#: Ratios that round to the same multiple of this count as equal in the scores of `quantile`.
QUANTILE_STEP = 0.05

#: Second word of the seeds of runs with coins, so that no other stream is the same.
_COINS = 7


@dataclass(frozen=True)
class Job:
    """One verifier on trees of one law.

    Attributes:
        law: The law of the trees it is given.
        name: The verifier, or `DEPTH_BOUND`.
        sampled: Whether it is run with coins.
        verifier: What runs; None for the bound.
    """

    law: TreeLaw
    name: str
    sampled: bool
    verifier: RunnableVerifier | None


def jobs_of(grid: TreeGrid, captured: CapturedLaw) -> tuple[Job, ...]:
    """What is computed for every context of a capture.

    Raises:
        InvalidSettingError: A shape that the capture does not hold, or a verifier that is not for
            its trees.
    """
    found: list[Job] = []
    for law in _laws(grid, captured.law):
        names = grid.of_law(law, several=captured.several)
        rules = {name: _estimating(name, law, grid.offsets) for name in names}
        found += [Job(law, name, False, rule) for name, rule in rules.items()]
        if grid.sampled:
            found += [Job(law, name, True, rule) for name, rule in rules.items()]
        if grid.bound and has_depth_terms(law) and not captured.several:
            found.append(Job(law, DEPTH_BOUND, False, None))
    return tuple(found)


def rows_of(
    context: ContextTree, jobs: Sequence[Job], captured: CapturedLaw, task: str, seed: int
) -> Iterator[dict[str, Any]]:
    """A row for each job."""
    p = context.target[()]
    entropy = float(-np.sum(p * np.log(p, out=np.zeros_like(p), where=p > 0.0)))
    first = context.draft if isinstance(context.draft, Mapping) else context.draft[0]
    overlap = float(np.minimum(p, first[()]).sum())
    cut: dict[TreeLaw, tuple[DraftedTree, DraftRows]] = {}
    for place, job in enumerate(jobs):
        if job.law not in cut:
            cut[job.law] = _cut(context, job.law)
        tree, draft = cut[job.law]
        terms = None
        if job.verifier is None:
            rows = one_draft(draft, DEPTH_BOUND)
            terms = depth_terms(context.target, rows, tree, job.law).tolist()
            tail = None
        elif job.sampled:
            key = [seed, _COINS, context.doc_id, context.position, place]
            key += [context.number] if context.number else []
            rng = np.random.default_rng(key)
            node, _ = job.verifier.sample(_AnyAtLeaves(context.target), draft, tree, rng)
            tail = [1.0] * len(node) + [0.0] * (job.law.depth - len(node))
        else:
            tail = [float(x) for x in job.verifier.tail(context.target, draft, tree)]
            tail += [0.0] * (job.law.depth - len(tail))
        yield {
            "doc_id": context.doc_id,
            "task": task,
            "position": context.position,
            "number": context.number,
            **captured.columns(job.law),
            "verifier": job.name,
            "sampled": job.sampled,
            "accepted": None if tail is None else sum(tail),
            "tail": tail,
            "bound_terms": terms,
            "target_entropy": entropy,
            "overlap": overlap,
        }


class _AnyAtLeaves(dict[Prefix, Floats]):
    """The target's rows, with one of them for leaves that a capture has none of.

    The token that follows a leaf is drawn from it, and not looked at here.
    """

    def __missing__(self, node: Prefix) -> Floats:
        return self[()]


def _estimating(name: str, law: TreeLaw, offsets: ChosenOffsets | None) -> RunnableVerifier:
    """The form of a verifier that estimates with least noise, and fits a large vocabulary."""
    if name not in ("quantile", "quantile_recursive"):
        return trees.lagged(trees.runnable_verifier(name), law)
    if offsets is None or not isinstance(law, Paths):
        return trees.runnable_verifier(name, step=QUANTILE_STEP)
    bins = offsets.of(law.num_paths, law.length).bins
    return trees.runnable_verifier(name, bins=bins, step=offsets.step)


def _laws(grid: TreeGrid, law: TreeLaw) -> tuple[TreeLaw, ...]:
    if not grid.shapes:
        return (law,)
    if not isinstance(law, Paths):
        raise InvalidSettingError(
            f"`shapes` are of captures of paths, and this one holds a {law.title()}: leave them out"
        )
    for shape in grid.shapes:
        if shape.num_paths > law.num_paths or shape.length > law.length:
            raise InvalidSettingError(
                f"`shapes` {shape.num_paths}:{shape.length} asks for more than the {law.title()} of"
                " the capture"
            )
    return tuple(dict.fromkeys(shape.law() for shape in grid.shapes))


def _cut(context: ContextTree, law: TreeLaw) -> tuple[DraftedTree, DraftRows]:
    """The part of a tree that a smaller law would have drawn, and the rows of its paths."""
    if not isinstance(law, Paths):
        return context.tree, context.draft
    paths = [path[: law.length] for path in context.tree.paths()[: law.num_paths]]
    draft = context.draft
    return trees.tree_of_paths(paths), draft if isinstance(draft, Mapping) else draft[: len(paths)]
