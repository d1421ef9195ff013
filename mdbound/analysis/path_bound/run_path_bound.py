"""A capture of paths -> the file of its bounds, beside which verifiers stand in reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

import mdbound
from mdbound.analysis.path_bound.bound_part import BoundPart
from mdbound.analysis.path_bound.contexts import BoundContexts
from mdbound.analysis.path_bound.crossed import CrossedBounds, crossed_bounds, steps_of
from mdbound.analysis.path_bound.parameters_file import (
    BoundParameters,
    LawCoefficients,
    write_parameters,
)
from mdbound.analysis.path_bound.read_contexts import read_contexts
from mdbound.analysis.solving.environment import environment
from mdbound.analysis.solving.provenance import capture_summary
from mdbound.analysis.solving.results import Provenance
from mdbound.analysis.solving.solve_cache import Parts
from mdbound.analysis.trees.captured_law import CapturedLaw, captured_laws
from mdbound.analysis.trees.tree_grid import DEPTH_BOUND
from mdbound.analysis.trees.tree_results import TREES_SCHEMA, write_trees
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache
from mdbound.trees import Paths


@dataclass(frozen=True)
class BoundSummary:
    """What a run left behind.

    Attributes:
        path: The file, as `mdbound trees` writes them.
        chosen: For each draft and law the bound that was least on each half.
    """

    path: Path
    chosen: tuple[tuple[str, Paths, tuple[str, str]], ...]


@dataclass(frozen=True)
class BoundProgress:
    """Callbacks of a run.

    Attributes:
        contexts: Called with contexts read, of how many.
        fits: Called with fits done, of how many.
    """

    contexts: Callable[[int, int], None]
    fits: Callable[[int, int], None]


def run_path_bound(
    cache: LogitsCache,
    laws: Sequence[Paths],
    out: Path | str,
    *,
    drafts: Sequence[str] = (),
    given: BoundParameters | None = None,
    parameters: Path | str | None = None,
    command: str = "",
    progress: BoundProgress | None = None,
) -> BoundSummary:
    """Bounds on E tau of every verifier of i.i.d. paths that leaves a fresh target behind.

    Each half of the documents is bounded with what was fitted on the other. A few hundred numbers
    a context are in memory. Run again after an interruption, it goes on with the draft and law
    that is missing.

    Args:
        cache: The capture, of paths.
        laws: K paths of L tokens each; those of the capture when empty. K may be larger than in
            the capture: paths of different contexts are then put together.
        out: The Parquet file to write.
        drafts: Draft models; all that drew paths when empty.
        given: Coefficients of another capture, in place of a fit.
        parameters: File for the coefficients of this one.
        command: Command line, kept in the file's metadata.
        progress: Callbacks.

    Raises:
        InvalidSettingError: The capture has no such paths, or too few documents.
        CacheError: The capture is unfinished or damaged.
        InvalidDistributionError: Logits that no distribution can be made of.
        OutputError: A file cannot be written.
    """
    out = Path(out)
    cache.require_finished()
    if out.is_dir():
        raise InvalidSettingError(f"`out` {out} is a folder; give a file name in it")
    work = [
        (captured, _laws_of(cache, captured, laws))
        for captured in captured_laws(cache, tuple(drafts))
    ]
    provenance = Provenance(
        version=mdbound.__version__,
        capture_identity=cache.manifest.identity(),
        capture=capture_summary(cache),
        settings=[_settings(captured, wanted, given) for captured, wanted in work],
        command=command,
        environment=environment(),
    )
    parts = Parts.beside(out)
    parts.start_or_resume(provenance)
    found = [
        part
        for captured, wanted in work
        for part in _parts_of(cache, captured, wanted, given, parts, progress)
    ]
    if parameters is not None:
        kept = tuple(part.coefficients for part in found)
        write_parameters(BoundParameters(cache.manifest.identity(), kept), parameters)
    write_trees((part.rows() for part in found), out, provenance)
    parts.remove()
    return BoundSummary(
        out,
        tuple((part.coefficients.draft, part.coefficients.law, part.chosen) for part in found),
    )


def _laws_of(cache: LogitsCache, captured: CapturedLaw, laws: Sequence[Paths]) -> tuple[Paths, ...]:
    if not isinstance(captured.law, Paths):
        raise InvalidSettingError(
            f"{cache.path} holds a {captured.law.title()}: the path bound is for i.i.d. paths; "
            "capture with `paths`"
        )
    return tuple(laws) or (captured.law,)


def _settings(
    captured: CapturedLaw, laws: Sequence[Paths], given: BoundParameters | None
) -> dict[str, Any]:
    return {
        **captured.settings(),
        "path_bound": "fitted" if given is None else f"given, fitted on {given.capture}",
        "paths": [f"{law.num_paths}:{law.length}" for law in laws],
    }


def _parts_of(
    cache: LogitsCache,
    captured: CapturedLaw,
    laws: Sequence[Paths],
    given: BoundParameters | None,
    parts: Parts,
    progress: BoundProgress | None,
) -> Iterator[BoundPart]:
    """The parts of one draft; contexts are read where one is missing."""
    places = {law: BoundPart.place(parts.folder, captured.draft, law) for law in laws}
    kept = {law: BoundPart.read(place) for law, place in places.items()}
    contexts = None
    for law in laws:
        part = kept[law]
        if part is None:
            if contexts is None:
                contexts = _read(cache, captured, laws, progress)
            forms = None if given is None else given.of(law, cache.manifest.identity())
            found = crossed_bounds(contexts, law, forms, _stepping(law, progress))
            chosen = (found.halves[0].chosen, found.halves[1].chosen)
            part = BoundPart(places[law], _coefficients(captured.draft, law, found), chosen)
            part.write(_frame(contexts, found, captured, law))
        yield part


def _read(
    cache: LogitsCache,
    captured: CapturedLaw,
    laws: Sequence[Paths],
    progress: BoundProgress | None,
) -> BoundContexts:
    total = sum(len(cache.read_path_nodes(shard, captured.draft)) for shard in cache.shards)
    on_context = None if progress is None else lambda done: progress.contexts(done, total)
    return read_contexts(cache, captured, laws, on_context)


def _stepping(law: Paths, progress: BoundProgress | None) -> Callable[[], None] | None:
    if progress is None:
        return None
    steps = iter(range(1, steps_of(law) + 1))
    return lambda: progress.fits(next(steps), steps_of(law))


def _coefficients(draft: str, law: Paths, found: CrossedBounds) -> LawCoefficients:
    """Those of the first half, whose documents are named by `halves`."""
    forms = {each.coefficients.form: each.coefficients for each in found.halves[0].fitted.values()}
    return LawCoefficients(draft, law, forms)


def _frame(
    contexts: BoundContexts, found: CrossedBounds, captured: CapturedLaw, law: Paths
) -> pl.DataFrame:
    rows = list(_rows(contexts, found, captured, law))
    return pl.DataFrame(rows, schema=dict(TREES_SCHEMA))


def _rows(
    contexts: BoundContexts, found: CrossedBounds, captured: CapturedLaw, law: Paths
) -> Iterator[dict[str, Any]]:
    places = contexts.places
    for name, values in found.values.items():
        if name == DEPTH_BOUND:  # `mdbound trees` has it
            continue
        for place, value in enumerate(values.tolist()):
            yield {
                "doc_id": int(places.doc_id[place]),
                "task": places.task[place],
                "position": int(places.position[place]),
                "number": int(places.number[place]),
                **captured.columns(law),
                "verifier": name,
                "sampled": False,
                "accepted": value,
                "tail": None,
                "bound_terms": None,
                "target_entropy": float(places.entropy[place]),
                "overlap": float(places.overlap[place]),
            }
