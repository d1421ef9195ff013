"""Where results come from: the capture, the settings, the package and its surroundings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import mdbound
from mdbound.analysis.solving.environment import environment
from mdbound.analysis.solving.results import Provenance
from mdbound.analysis.solving.selection import Selection
from mdbound.analysis.solving.setting import SolveSetting
from mdbound.logits_cache.store.cache import LogitsCache
from mdbound.logits_cache.store.manifest import GenerationRecord, ModelRecord


def provenance_of(
    cache: LogitsCache, settings: Sequence[SolveSetting], selection: Selection, command: str
) -> Provenance:
    """What the metadata of results says: made by this package, now, from this capture."""
    return Provenance(
        version=mdbound.__version__,
        capture_identity=cache.manifest.identity(),
        capture=capture_summary(cache),
        settings=[setting.as_dict() for setting in settings],
        command=command,
        selection=selection.as_dict(),
        environment=environment(),
    )


def capture_summary(cache: LogitsCache) -> dict[str, Any]:
    """What a table says about the capture: enough to recognise it, the identity says the rest."""
    manifest = cache.manifest
    target, *drafts = manifest.models()
    return {
        "target": _source(target, manifest.vocab_size),
        "drafts": [f"{draft.name} = {_source(draft, manifest.vocab_size)}" for draft in drafts],
        "text": manifest.text.source,
        "documents": manifest.text.documents,
        "limit": manifest.text.limit,
        "limit_per_task": manifest.text.limit_per_task,
        "system": manifest.text.system,
        "turns": manifest.text.turns,
        "history": manifest.text.history,
        "vocabulary": manifest.vocab_size,
        **_flat_generation(manifest.generation),
    }


def _source(model: ModelRecord, vocab_size: int) -> str:
    """A model's source, and how many of the tokens it has if it lacks some."""
    if model.alignment is None:
        return model.source
    return f"{model.source} ({model.alignment.tokens:,} of {vocab_size:,} tokens)"


def _flat_generation(generation: GenerationRecord) -> dict[str, Any]:
    """How positions were made, with warpers and edges beside the rest, for reading."""
    values: dict[str, Any] = {}
    for name, value in asdict(generation).items():
        if name == "warpers":
            values |= value or {"temperature": None}
        elif name != "edges":
            values[name] = value
    edges = {} if generation.edges is None else generation.edges.settings()
    tokens = {name: value for name, value in edges.items() if isinstance(value, tuple)}
    return {**values, **edges, **{name: " ".join(value) for name, value in tokens.items()}}
