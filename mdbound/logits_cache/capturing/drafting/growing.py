"""Paths and trees of one context, level by level, for whoever reads the logits that they need."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mdbound.bounds import distribution_from_logits
from mdbound.logits_cache.capturing.drafting.path_drawing import PathDrawing, TreeContext
from mdbound.logits_cache.capturing.generate import sample_tokens
from mdbound.logits_cache.models.tree_pass import Node
from mdbound.logits_cache.store.path_nodes import ContextNodes, path_nodes, tree_nodes
from mdbound.logits_cache.store.paths_record import IID_PATHS, PathsRecord

Float32Array = npt.NDArray[np.float32]

Growing: TypeAlias = Generator[list[Node], Sequence[Float32Array], ContextNodes]
"""Yields the nodes whose logits it needs next, the context `()` first, and is sent these; returns
what was drawn."""


def grow_at(context: TreeContext, drawing: PathDrawing, draft: str) -> list[Growing]:
    """What a draft draws at a context: one set of paths, or the trees in their order.

    Args:
        context: where.
        drawing: how.
        draft: the draft's name, which is part of the seeds.
    """
    place = (context.row, context.doc_id, context.position)
    record = drawing.record
    if record.draws_paths:
        generators = [drawing.generator(draft, context, path) for path in range(record.count)]
        return [_grow_paths(place, record, generators)]
    return [
        _grow_tree(place, number, record, drawing.generator(draft, context, number))
        for number in range(record.trees)
    ]


def _grow_paths(
    place: tuple[int, int, int],
    record: PathsRecord,
    generators: Sequence[np.random.Generator],
) -> Growing:
    warpers = record.path_warpers()
    paths: list[Node] = [()] * len(generators)
    for _ in range(record.length):
        level = list(dict.fromkeys(paths))
        rows = dict(zip(level, (yield level), strict=True))
        logits = np.stack([rows[path] for path in paths])
        if len(warpers) == 1:
            drawn = sample_tokens(logits, warpers[0], generators)
        else:
            each = zip(logits, warpers, generators, strict=True)
            drawn = [sample_tokens(row[None], own, [one])[0] for row, own, one in each]
        paths = [(*path, token) for path, token in zip(paths, drawn, strict=True)]
    tokens = np.array(paths, dtype=np.int64)
    return ContextNodes(*place, path_nodes(tokens), IID_PATHS, tokens)


def _grow_tree(
    place: tuple[int, int, int],
    number: int,
    record: PathsRecord,
    generator: np.random.Generator,
) -> Growing:
    law, (warpers,) = record.law(), record.path_warpers()
    growth = law.grow(generator)
    level = next(growth)
    while True:
        logits = np.stack((yield level))
        try:
            level = growth.send(list(distribution_from_logits(logits, **warpers.as_dict())))
        except StopIteration as end:
            return ContextNodes(*place, tree_nodes(end.value), law.sampling, number=number)
