"""Teacher-forced logits: every model reads the same tokens, and its logits are recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mdbound.errors import ModelError
from mdbound.logits_cache.capturing.mass_outside import MassOutside
from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.store.shards import ShardWriter
from mdbound.logits_cache.text.passages import Passage, pad_batch

if TYPE_CHECKING:
    import torch

#: Logits of one forward pass in bytes; a batch that needs more is split, a single passage never is.
#: Less spares memory, more keeps a device busier.
FORWARD_BYTES = 512 * 2**20


def score_passages(
    model: LanguageModel, passages: Sequence[Passage]
) -> Iterator[tuple[Passage, npt.NDArray[np.float32]]]:
    """Yield each passage with the model's raw logits on its recorded rows, shape (rows, V).

    The logits are those of the undivided forward pass in the model's own dtype, as float32.
    """
    for passage, logits in score_on_device(model, passages):
        yield passage, logits.float().cpu().numpy()


def score_on_device(
    model: LanguageModel, passages: Sequence[Passage]
) -> Iterator[tuple[Passage, torch.Tensor]]:
    """As `score_passages`, with the logits as they are, on the model's device."""
    import torch

    _check_readable(model, passages)
    for part in _split(model, passages):
        with torch.inference_mode():
            batch = pad_batch(
                [item.token_ids[:-1] for item in part],
                [item.first_row for item in part],
                model.pad_id,
                model.device,
            )
            keep = batch.input_ids.shape[1] - batch.anchor
            output = model.forward(
                batch.input_ids, batch.attention_mask, batch.position_ids,
                keep=keep, use_cache=False,
            )  # fmt: skip
            logits = model.stored(output.logits[:, -keep:])  # (B, keep, V)
            recorded = [logits[row, : item.rows] for row, item in enumerate(part)]
        # Outside the block: a generator that waits inside it would leave its caller without
        # gradients.
        yield from zip(part, recorded, strict=True)


def _check_readable(model: LanguageModel, passages: Sequence[Passage]) -> None:
    """Refuse a text with a token that a model lacks, and cannot even read."""
    if model.columns is None:
        return
    readable = model.network.get_input_embeddings().weight.shape[0]
    for item in passages:
        largest = max(item.token_ids)
        if largest >= readable:
            raise ModelError(
                f"document {item.doc_id} has token {largest}, and {model.record.source!r} can read "
                f"{readable}: nothing can be drafted after it; resize its embeddings, or remove "
                "the document"
            )


def score_together(
    models: Sequence[LanguageModel], passages: Sequence[Passage], *, on_device: bool = False
) -> Iterator[tuple[Passage, dict[str, Any]]]:
    """Yield each passage with the logits of every model, by the model's name.

    The models take turns, so that each holds one forward pass and not the whole batch.

    Args:
        models: the models.
        passages: what they read.
        on_device: yield tensors on the models' device, as `score_on_device`; otherwise arrays.
    """
    score: Any = score_on_device if on_device else score_passages
    streams = [score(model, passages) for model in models]
    for scored in zip(*streams, strict=True):
        names = [model.record.name for model in models]
        logits = {name: rows for name, (_, rows) in zip(names, scored, strict=True)}
        yield scored[0][0], logits


def record_logits(
    writer: ShardWriter,
    model: LanguageModel,
    batch: Sequence[Passage],
    outside: MassOutside,
    kept: Sequence[Sequence[int]] | None = None,
) -> list[npt.NDArray[np.float32]]:
    """Write the model's logits on the passages' recorded rows into the shard.

    Args:
        writer: the shard.
        model: the model.
        batch: the passages.
        outside: takes note of what lies on tokens that others lack.
        kept: for each passage rows to return, counted from its first recorded one; None for none.

    Returns:
        The rows to keep, each of shape (V,).

    Raises:
        InvalidDistributionError: a row is NaN, infinite or masked throughout.
        OutputError: the disk refused the data.
    """
    returned: list[npt.NDArray[np.float32]] = []
    for index, (item, logits) in enumerate(score_passages(model, batch)):
        outside.add(model.record.name, logits)
        writer.add_logits(model.record, item.doc_ids, item.positions, logits)
        returned.extend(logits[row].copy() for row in (kept[index] if kept else ()))
    return returned


def _split(model: LanguageModel, passages: Sequence[Passage]) -> Iterator[Sequence[Passage]]:
    """Consecutive groups that may share a batch, and whose logits stay within FORWARD_BYTES."""
    start = 0
    for stop in range(1, len(passages) + 1):
        if stop == len(passages) or not _fits(model, passages[start : stop + 1]):
            yield passages[start:stop]
            start = stop


def _fits(model: LanguageModel, group: Sequence[Passage]) -> bool:
    needed = 4 * model.record.logits_width * len(group) * max(item.rows for item in group)
    longest = max(len(item.token_ids) - 1 for item in group)
    return needed <= FORWARD_BYTES and model.findings.may_share_batch(longest)
