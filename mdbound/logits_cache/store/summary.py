"""What `mdbound info` says about a cache: counts, entropies and single-draft acceptance."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mdbound.errors import CacheError
from mdbound.logits_cache.store.cache import LogitsCache
from mdbound.logits_cache.store.manifest import TARGET

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ModelSummary:
    """One model's averages over all positions, at temperature 1.

    Attributes:
        name: `target` or the draft's name.
        entropy: mean entropy of its distributions, in nats.
        acceptance: mean single-draft acceptance, the sum over the vocabulary of the smaller of
            target and draft probability; None for the target.
        standard_error: of `acceptance`, positions of one document taken as dependent; None for
            the target and when there is only one document.
    """

    name: str
    entropy: float
    acceptance: float | None = None
    standard_error: float | None = None


@dataclass(frozen=True)
class TaskSummary:
    """Size of one task."""

    task: str
    documents: int
    positions: int


@dataclass(frozen=True)
class CacheSummary:
    """Sizes and averages of a cache.

    Attributes:
        tasks: sizes per task, in the order of their first position.
        models: averages per model, the target first.
    """

    tasks: tuple[TaskSummary, ...]
    models: tuple[ModelSummary, ...]


def summarise(cache: LogitsCache, on_rows: Callable[[int], None] | None = None) -> CacheSummary:
    """Average over a cache in one pass; memory holds one batch of rows.

    Args:
        cache: the cache.
        on_rows: called with the number of positions done after each batch.

    Raises:
        CacheError: a shard is missing or damaged, or none is finished yet.
    """
    if cache.num_positions == 0:
        raise CacheError(f"{cache.path} has no finished shard yet; run its capture again")
    documents: dict[str, set[int]] = defaultdict(set)
    positions: dict[str, int] = defaultdict(int)
    averages = {name: _Averages() for name in (TARGET, *cache.draft_names)}
    done = 0
    for batch in cache.iter_batches():
        doc_ids = batch.positions["doc_id"].to_list()
        for task, doc_id in zip(batch.positions["task"], doc_ids, strict=True):
            documents[task].add(doc_id)
            positions[task] += 1
        target = softmax(batch.logits[TARGET])
        for name, average in averages.items():
            own = target if name == TARGET else softmax(batch.logits[name])
            average.add(doc_ids, entropy(own), np.minimum(target, own).sum(axis=1))
        done += len(doc_ids)
        if on_rows is not None:
            on_rows(done)
    tasks = tuple(TaskSummary(task, len(documents[task]), positions[task]) for task in positions)
    models = tuple(average.summary(name) for name, average in averages.items())
    return CacheSummary(tasks, models)


def softmax(logits: npt.NDArray[np.float32]) -> Float64Array:
    """Probabilities at temperature 1, in float64; logits of shape (B, V), -inf allowed.

    >>> softmax(np.array([[0.0, -np.inf]], dtype=np.float32)).tolist()
    [[1.0, 0.0]]
    """
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(axis=1, keepdims=True)
    return shifted


def entropy(probabilities: Float64Array) -> Float64Array:
    """Entropy of each row, shape (B, V) to (B,), in nats.

    >>> entropy(np.array([[0.5, 0.5], [1.0, 0.0]])).round(6).tolist()
    [0.693147, 0.0]
    """
    logs = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    entropies: Float64Array = np.abs(np.einsum("bv,bv->b", probabilities, logs))
    return entropies


@dataclass
class _Averages:
    """Running sums of one model; acceptance is kept per document for its standard error."""

    rows: int = 0
    entropy: float = 0.0
    by_document: dict[int, tuple[int, float]] = field(default_factory=dict)

    def add(self, doc_ids: list[int], entropies: Float64Array, accepted: Float64Array) -> None:
        self.rows += len(doc_ids)
        self.entropy += float(entropies.sum())
        for doc_id, value in zip(doc_ids, accepted.tolist(), strict=True):
            count, total = self.by_document.get(doc_id, (0, 0.0))
            self.by_document[doc_id] = (count + 1, total + value)

    def summary(self, name: str) -> ModelSummary:
        mean_entropy = self.entropy / self.rows
        if name == TARGET:
            return ModelSummary(name, mean_entropy)
        return ModelSummary(name, mean_entropy, *self._acceptance())

    def _acceptance(self) -> tuple[float, float | None]:
        """Mean over positions, and its standard error with documents as the sampled unit."""
        counts, totals = np.array(list(self.by_document.values())).reshape(-1, 2).T
        mean = float(totals.sum() / self.rows)
        documents = len(counts)
        if documents < 2:
            return mean, None
        # A ratio estimator: documents differ in length, so lengths vary with the sample too.
        residuals = totals - mean * counts
        variance = documents / (documents - 1) * float(residuals @ residuals) / self.rows**2
        return mean, math.sqrt(variance)
