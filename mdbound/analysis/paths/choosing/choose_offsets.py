"""The offsets that accept most on one half of the documents, from the target's text alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mdbound import trees
from mdbound.analysis.offsets.chosen_offsets import ChosenOffsets, ShapeOffsets
from mdbound.analysis.paths.capture_logprobs import batch_logprobs
from mdbound.analysis.paths.captured_texts import texts_of
from mdbound.analysis.paths.path_setting import PathGrid, PathSetting
from mdbound.analysis.paths.run_paths import settings_of
from mdbound.analysis.paths.tree_rules import QUANTILE, QuantileRule
from mdbound.analysis.solving.solve_cache import SolveProgress
from mdbound.analysis.statistics.halves import halves
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache
from mdbound.trees.verifiers.quantile.items import RoundedRatios

Floats = NDArray[np.float64]
ProgressCallback = Callable[[SolveProgress], None]

#: Values of a that are tried. The best is flat within 0.1.
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

#: Width of a class of log-ratios, that of `mdbound paths` and `mdbound trees`.
STEP = 0.05


@dataclass(frozen=True)
class _Text:
    """One text of the half, as the rule needs it."""

    target: Floats
    draft: Floats
    classes: trees.ClassMasses


def choose_offsets(
    cache: LogitsCache,
    num_paths: Sequence[int],
    lengths: Sequence[int],
    *,
    draft: str | None = None,
    draft_temperature: float | None = None,
    batch_rows: int = 64,
    on_progress: ProgressCallback | None = None,
) -> ChosenOffsets:
    """Offsets for each number and length of paths: Gaussian or pooled ones, and their share a.

    Tried are `SHARES` for both kinds; E tau is that of the windows of the text, a mean over
    positions. Rows of the other half are not looked at. Memory holds a few hundred numbers for
    each position of the half.

    Args:
        cache: A capture of the target's own text, of two documents or more.
        num_paths: Numbers of paths K.
        lengths: Lengths of paths L.
        draft: Draft model; the only one when None.
        draft_temperature: Of the draft; that of the target when None.
        batch_rows: Positions read at a time.
        on_progress: Called after each batch.

    Raises:
        InvalidSettingError: Text that was given, fewer than two documents, several drafts and none
            named, or a K or L out of range.
        CacheError: The capture is unfinished or damaged.
    """
    if cache.manifest.generation.warpers is None:
        raise InvalidSettingError(
            f"{cache.path} holds text that was given: offsets are chosen on the target's own"
        )
    if draft is None and len(cache.draft_names) > 1:
        raise InvalidSettingError(
            f"`drafts` names none: {cache.path} holds {', '.join(cache.draft_names)}; name one"
        )
    grid = PathGrid(
        lengths=tuple(lengths),
        schemes=(QUANTILE,),
        num_drafts=tuple(num_paths),
        drafts=() if draft is None else (draft,),
        draft_temperatures=(draft_temperature,),
    )
    (setting,) = settings_of(cache, grid)
    documents, _ = halves(
        doc for shard in cache.shards for doc in cache.read_positions(shard)["doc_id"].unique()
    )
    if not documents:
        raise InvalidSettingError(f"{cache.path} has fewer than two documents: nothing to halve")
    texts = list(_texts(cache, setting, set(documents), batch_rows, on_progress))
    ratios, masses = _pooled(texts)
    mean = float(ratios @ masses)
    spread = float(np.sqrt(((ratios - mean) ** 2) @ masses))
    shapes = tuple(
        _best(texts, k, length, _candidates(ratios, masses, spread, length))
        for k, length in product(num_paths, lengths)
    )
    return ChosenOffsets(
        capture=cache.manifest.identity(),
        draft=setting.draft,
        warpers=setting.warpers.as_dict(),
        draft_temperature=setting.draft_temperature,
        step=STEP,
        documents=tuple(sorted(documents)),
        spread=spread,
        shapes=shapes,
    )


def _texts(
    cache: LogitsCache,
    setting: PathSetting,
    documents: set[int],
    batch_rows: int,
    on_progress: ProgressCallback | None,
) -> Iterator[_Text]:
    """The texts of some documents; shards without any of them are not read."""
    rule = QuantileRule(1)
    parts = _parts(cache, setting, documents, batch_rows, on_progress)
    for text in texts_of(cache, parts, [setting], [rule], documents=documents):
        numbers = text.numbers[rule]
        classes = trees.ClassMasses(numbers[:, :-1], numbers[:, -1].astype(np.int64))
        yield _Text(text.target_logprob, text.draft_logprob, classes)


def _parts(
    cache: LogitsCache,
    setting: PathSetting,
    documents: set[int],
    batch_rows: int,
    on_progress: ProgressCallback | None,
) -> Iterator[pl.DataFrame]:
    """For each shard the numbers of the documents' positions."""
    done = 0
    for shard in cache.shards:
        places = cache.read_positions(shard).select("doc_id", "position")
        frames = [places.clear()]
        if places["doc_id"].is_in(list(documents)).any():
            batches = cache.iter_batches(
                ["target", setting.draft], batch_rows=batch_rows, shards=[shard.index]
            )
            made = (batch_logprobs(batch, [setting], [QuantileRule(1)]) for batch in batches)
            frames = [frame.filter(pl.col("doc_id").is_in(list(documents))) for frame in made]
        yield pl.concat(frames)
        done += shard.rows
        if on_progress is not None:
            on_progress(SolveProgress(done, cache.num_positions, done))


def _pooled(texts: Sequence[_Text]) -> tuple[Floats, Floats]:
    """Log-ratios of the classes, and the draft's mass on each, pooled over positions."""
    total = np.sum([text.classes.masses.sum(axis=0) for text in texts], axis=0)
    return np.log(RoundedRatios(STEP).scores), np.asarray(total / total.sum())


def _candidates(
    ratios: Floats, masses: Floats, spread: float, length: int
) -> Mapping[tuple[str, float], list[list[float]]]:
    if length == 1:
        return {("gaussian", 0.0): [[1.0]]}  # nothing comes below
    found = {}
    for share in SHARES:
        found["gaussian", share] = trees.gaussian_bins(length, share, spread)
        found["pooled", share] = trees.pooled_bins(ratios, masses, length, share)
    return found


def _best(
    texts: Sequence[_Text],
    num_paths: int,
    length: int,
    candidates: Mapping[tuple[str, float], list[list[float]]],
) -> ShapeOffsets:
    values = {
        name: _expected_length(texts, num_paths, length, bins) for name, bins in candidates.items()
    }
    kind, share = max(values, key=lambda name: values[name])
    return ShapeOffsets(
        num_paths,
        length,
        kind,
        share,
        values[kind, share],
        tuple(tuple(each) for each in candidates[kind, share]),
    )


def _expected_length(
    texts: Sequence[_Text], num_paths: int, length: int, bins: list[list[float]]
) -> float:
    """Mean over the windows of L tokens of all texts."""
    total, windows = 0.0, 0
    for text in texts:
        whole = len(text.target) - length + 1
        if whole <= 0:
            continue
        tail = trees.quantile_text_tail(
            text.target, text.draft, text.classes, length, num_paths, bins=bins, step=STEP
        )
        total, windows = total + float(tail[:whole].sum()), windows + whole
    if not windows:
        raise InvalidSettingError(
            f"`lengths` {length}: no text of so many tokens to choose offsets on"
        )
    return total / windows
