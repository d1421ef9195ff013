"""Checking results of `trees`: which rows are there, drawn contexts again, and small trees.

- *rows*: the file holds one row for each context of the capture and each job of the run, in order.
- *again*: rows of drawn contexts are what the run gives, in every column.
- *enumeration*: each verifier of a drawn context on a small problem made of its likeliest tokens:
  what its rows estimate, summed over every tree, is the expected length of its law of outcomes,
  that law loses nothing, and no program of the optimum is below it; the bound by depth is above.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mdbound import trees
from mdbound.analysis.offsets.chosen_offsets import offsets_from
from mdbound.analysis.trees.captured_law import CapturedLaw, captured_laws
from mdbound.analysis.trees.contexts import ContextTree, contexts_of
from mdbound.analysis.trees.depth_terms import depth_terms
from mdbound.analysis.trees.tree_grid import DEPTH_BOUND, PathsShape, TreeGrid
from mdbound.analysis.trees.tree_results import TREES_SCHEMA, open_trees
from mdbound.analysis.trees.tree_rows import Job, jobs_of, rows_of
from mdbound.analysis.verification.drawn_part import (
    drawn_places,
    refuse_another_capture,
    refuse_no_draw,
)
from mdbound.analysis.verification.outcome import Record, Verification
from mdbound.analysis.verification.same_rows import differences
from mdbound.errors import CacheError, MdboundError
from mdbound.logits_cache.store.cache import LogitsCache
from mdbound.logits_cache.store.manifest import ShardInfo
from mdbound.paths.tiny.model import Prefix, Row
from mdbound.trees import Branching, Paths, TreeLaw
from mdbound.trees.verifiers.rows import RowArrays

ROWS, AGAIN, ENUMERATION = "rows", "again", "enumeration"
CHECKS = (ROWS, AGAIN, ENUMERATION)

KEYS = (
    *("doc_id", "task", "position", "number", "draft", "temperature", "top_k", "top_p", "min_p"),
    *("draft_temperature", "tree", "sampling", "num_paths", "depth", "verifier", "sampled"),
)
"""Columns that say which row it is."""

TOKENS, DEPTH, DRAWS = 3, 2, 2
"""Size of the small problems: 81 trees of two paths, and programs of milliseconds."""

ROUNDING = 1e-11
"""Of sums over all trees. Programs are solved to 1e-9."""

PROGRAM = 1e-8

Model = dict[Prefix, Row]


def verify_trees(
    results: Path | str,
    cache: LogitsCache,
    *,
    contexts: int | None = 20,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Check a file of what verifiers accept of captured trees; see the module for how.

    Args:
        results: File written by `trees`.
        cache: The capture that it was made from.
        contexts: Contexts to draw; None for all.
        seed: Seed of the draw.
        on_progress: Called with contexts done and contexts drawn.

    Raises:
        InvalidSettingError: `contexts` below 1, or results of another capture.
        CacheError: Results or capture are damaged.
    """
    refuse_no_draw(contexts)
    opened, record = open_trees(results), Record(CHECKS)
    refuse_another_capture(opened, cache)
    try:
        grid, laws = _grid_of(opened.provenance.settings, cache)
    except (KeyError, TypeError, ValueError, IndexError, MdboundError) as error:
        raise CacheError(
            f"{opened.path}: damaged settings ({error}); run `run_on_trees` again"
        ) from error
    work = [(law, jobs_of(grid, law)) for law in laws]
    total = opened.height()
    record.checks[ROWS].rows = total
    places = list(_places(cache, grid, work))
    chosen = set(drawn_places(len(places), contexts, seed).tolist())
    start = drawn_rows = done = 0
    by_context: dict[tuple[int, int, int, int], int] = {}
    for index, (_, of_law, key, height) in enumerate(places):
        if index in chosen:
            by_context[(of_law, *key)] = start
        start += height
    if start != total:
        record.contradict("the file", ROWS, f"{total:,} rows where the run has {start:,}")
    _check_keys(opened.frame, places, work, cache, record)
    for shard in cache.shards:
        tasks = dict(cache.read_positions(shard).select("doc_id", "task").unique().rows())
        for of_law, (law, jobs) in enumerate(work):
            for context in contexts_of(cache, law, shard):
                place = (of_law, context.doc_id, context.position, context.number)
                if place not in by_context:
                    continue
                again = pl.DataFrame(
                    list(rows_of(context, jobs, law, tasks[context.doc_id], grid.seed)),
                    schema=dict(TREES_SCHEMA),
                )
                claimed = opened.frame.slice(by_context[place], again.height)
                for row, what, off in differences(claimed, again.lazy(), KEYS):
                    record.contradict(row, AGAIN, what, off)
                record.checks[AGAIN].rows += again.height
                drawn_rows += again.height
                _check_small(context, jobs, law, record)
                done += 1
                if on_progress is not None:
                    on_progress(done, len(chosen))
    return Verification(drawn_rows, record.checks, record.failures, total)


def _grid_of(
    settings: Sequence[Mapping[str, Any]], cache: LogitsCache
) -> tuple[TreeGrid, tuple[CapturedLaw, ...]]:
    """What was computed, as the metadata say it."""
    first = settings[0]
    mixed = tuple(str(each) for each in first["mixed"])
    drafts = () if mixed else tuple(str(each["draft"]) for each in settings)
    grid = TreeGrid(
        verifiers=tuple(str(each) for each in first["verifiers"]),
        shapes=tuple(PathsShape(int(k), int(l)) for k, l in first["shapes"]),
        drafts=drafts,
        mixed=mixed,
        offsets=offsets_from(first["offsets"]) if "offsets" in first else None,
        sampled=bool(first["sampled"]),
        bound=bool(first["bound"]),
        seed=int(first["seed"]),
    )
    laws = captured_laws(cache, grid.drafts, grid.mixed)
    recorded = [{**grid.as_dict(), **law.settings()} for law in laws]
    if recorded != list(settings):
        raise ValueError("they are not those of the capture's trees")
    return grid, laws


_Work = Sequence[tuple[CapturedLaw, Sequence[Job]]]
_Place = tuple[int, int, tuple[int, int, int], int]


def _places(cache: LogitsCache, grid: TreeGrid, work: _Work) -> Iterator[_Place]:
    """Shard, law, context and number of rows, in the order of the file."""
    identity = cache.manifest.identity()
    for shard in cache.shards:
        for of_law, (law, jobs) in enumerate(work):
            for each in cache.read_path_nodes(shard, law.drafts[0]):
                if grid.offsets is None or grid.offsets.reports(identity, each.doc_id):
                    key = (each.doc_id, each.position, each.number)
                    yield shard.index, of_law, key, len(jobs)


def _check_keys(
    frame: pl.LazyFrame, places: Sequence[_Place], work: _Work, cache: LogitsCache, record: Record
) -> None:
    """Hold the names of all rows against the contexts and jobs, shard by shard."""
    start = 0
    for index, group in itertools.groupby(places, key=lambda place: place[0]):
        wanted = pl.DataFrame(
            list(_wanted_keys(list(group), work, _shard(cache, index), cache)),
            schema={name: TREES_SCHEMA[name] for name in KEYS},
        )
        found = frame.select(KEYS).slice(start, wanted.height)
        start += wanted.height
        for row, what, _ in differences(found, wanted.lazy(), KEYS):
            record.contradict(row, ROWS, what)
            return


def _shard(cache: LogitsCache, index: int) -> ShardInfo:
    return next(shard for shard in cache.shards if shard.index == index)


def _wanted_keys(
    places: Sequence[_Place], work: _Work, shard: ShardInfo, cache: LogitsCache
) -> Iterator[dict[str, Any]]:
    tasks = dict(cache.read_positions(shard).select("doc_id", "task").unique().rows())
    for _, of_law, (doc_id, position, number), _ in places:
        law, jobs = work[of_law]
        for job in jobs:
            yield {
                "doc_id": doc_id,
                "task": tasks[doc_id],
                "position": position,
                "number": number,
                **law.columns(job.law),
                "verifier": job.name,
                "sampled": job.sampled,
            }


def _check_small(
    context: ContextTree, jobs: Sequence[Job], captured: CapturedLaw, record: Record
) -> None:
    """The verifiers of a context on a problem that can be summed over every tree."""
    if captured.several:
        record.skip(ENUMERATION, "each path has a draft of its own")
        return
    problem = small_problem(context)
    for name, law in dict.fromkeys((job.name, job.law) for job in jobs if not job.sampled):
        small = small_law(law)
        if small is None:
            record.skip(ENUMERATION, f"a {law.title()} has no small form")
        elif problem is None:
            record.skip(ENUMERATION, "the likeliest tokens hold no mass of one of the models")
        else:
            where = f"document {context.doc_id}, position {context.position}, {name}"
            _check_by_enumeration(where, name, small, problem, record)


def small_law(law: TreeLaw) -> TreeLaw | None:
    """The same kind of trees, small enough to be listed; None where there is none.

    Example:
        >>> small_law(Paths(4, 8))
        Paths(num_paths=2, length=2)
    """
    if isinstance(law, Paths):
        return Paths(min(law.num_paths, DRAWS), min(law.length, DEPTH))
    if isinstance(law, Branching):
        draws, depth = min(law.num_draws(()), DRAWS), min(law.depth, DEPTH)
        return Branching((draws,) * depth, sampling=law.sampling)
    return None


def small_problem(context: ContextTree) -> tuple[Model, Model] | None:
    """Both models over the likeliest tokens of a context, scaled to sum to 1.

    Nodes that the capture has no rows of get those of the context: any pair of models is a problem.
    """
    if not isinstance(context.draft, Mapping):
        return None
    p, q = context.target[()], context.draft[()]
    tokens = np.argsort(-(p + q), kind="stable")[:TOKENS]
    models: list[Model] = []
    for rows in (context.target, context.draft):
        model: Model = {}
        for depth in range(DEPTH + 1):
            for node in itertools.product(range(len(tokens)), repeat=depth):
                captured = tuple(int(tokens[place]) for place in node)
                masses = np.asarray(rows.get(captured, rows[()]))[tokens]
                if not masses.sum() > 0.0:
                    masses = np.asarray(rows[()])[tokens]
                if not masses.sum() > 0.0:
                    return None
                model[node] = tuple((masses / masses.sum()).tolist())
        models.append(model)
    return models[0], models[1]


def _check_by_enumeration(
    where: str, name: str, law: TreeLaw, problem: tuple[Model, Model], record: Record
) -> None:
    target, draft = problem
    optimum = trees.optimal_value(target, draft, law).value
    if name == DEPTH_BOUND:
        above = optimum - _depth_bound(target, draft, law)
        record.add(where, ENUMERATION, DEPTH_BOUND, max(above, 0.0), PROGRAM)
        return
    rule = trees.runnable_verifier(name)
    estimated = float(trees.lagged(rule, law).expected_length(target, draft, law))
    if not rule.law_is_exact:
        record.skip(ENUMERATION, f"{name} has no law of outcomes in closed form")
        return
    outcomes = trees.block_law(target, draft, law, rule)
    right = float(sum(len(node) * mass for (node, _), mass in outcomes.items()))
    record.add(where, ENUMERATION, "expected length", abs(estimated - right), ROUNDING)
    lost = text_error(outcomes, target, law.depth)
    record.add(where, ENUMERATION, "output law", lost, ROUNDING)
    record.add(where, ENUMERATION, "optimum", max(right - optimum, 0.0), PROGRAM)


def _depth_bound(target: Model, draft: Model, law: TreeLaw) -> float:
    """Sum over depths of the least mean, over all trees, of a threshold's terms."""
    rows, drafts = RowArrays(target, "target"), RowArrays(draft, "draft")
    total: Any = 0.0
    for tree, mass in law.trees(draft):
        total = total + float(mass) * depth_terms(rows, drafts, tree, law)
    return float(np.minimum(total.min(axis=1), 1.0).sum())


def text_error(
    outcomes: Mapping[tuple[Prefix, int], Any], target: Mapping[Prefix, Row], depth: int
) -> float:
    """Largest difference between the law of L + 1 tokens of the output and the target's.

    Example:
        >>> text_error({((), 0): 0.25, ((), 1): 0.75}, {(): (0.5, 0.5), (0,): (0.5, 0.5)}, 0)
        0.25
    """
    vocabulary = range(len(target[()]))
    worst = 0.0
    for text in itertools.product(vocabulary, repeat=depth + 1):
        given = 0.0
        rest = 1.0  # P(the target goes on as the text does after a block)
        for place in reversed(range(depth + 1)):
            given += float(outcomes.get((text[:place], text[place]), 0.0)) * rest
            rest *= float(target[text[:place]][text[place]])
        worst = max(worst, abs(given - rest))
    return worst
