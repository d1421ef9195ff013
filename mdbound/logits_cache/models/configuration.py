"""What a model's configuration says, read without its weights."""

from __future__ import annotations

from dataclasses import dataclass

from mdbound.logits_cache.models.model_files import ModelFiles, cannot_load
from mdbound.logits_cache.models.quiet_transformers import quiet_transformers


@dataclass(frozen=True)
class ModelShape:
    """What a model's configuration says, read without its weights.

    Attributes:
        logits_width: columns of its logits.
        layers: decoder layers.
        max_context: longest context it was made for, in tokens; None if it does not say.
        dtype: type of its weights on disk, or None.
    """

    logits_width: int
    layers: int
    max_context: int | None
    dtype: str | None


def read_shape(files: ModelFiles) -> ModelShape:
    """Read a model's configuration.

    Raises:
        ModelError: it cannot be read, or is not a language model's.
    """
    with quiet_transformers() as transformers:
        try:
            config = transformers.AutoConfig.from_pretrained(files.location, **files.options)
            text = config.get_text_config()
            return ModelShape(
                # Heads that are pruned to some of the tokens, as in EAGLE-3, say so here.
                logits_width=int(getattr(text, "draft_vocab_size", None) or text.vocab_size),
                layers=int(text.num_hidden_layers),
                max_context=_limit(getattr(text, "max_position_embeddings", None)),
                dtype=_dtype_name(getattr(text, "dtype", None)),
            )
        except Exception as error:  # transformers raises whatever its readers raise
            raise cannot_load(files, error) from error


def _limit(positions: object) -> int | None:
    """Positions that a model has; configurations of models without a limit say 0 or -1."""
    return positions if isinstance(positions, int) and positions > 0 else None


def _dtype_name(dtype: object) -> str | None:
    return None if dtype is None else str(dtype).removeprefix("torch.")
