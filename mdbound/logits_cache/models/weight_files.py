"""Which files hold a model's weights: safetensors only, since pickles can run code."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from mdbound.errors import ModelError

_SAFE = ".safetensors"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_ADAPTER = "adapter_config.json"

#: Where transformers looks, in this order.
_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"


def weight_files(folder: Path) -> list[str]:
    """Names of the files that transformers would take a folder's weights from.

    Raises:
        ModelError: the index of a sharded model cannot be read.
    """
    named = _named_by_configuration(folder)
    if named is not None and not named.endswith(".index.json"):
        return [named]
    if named is None and (folder / _SINGLE).is_file():
        return [_SINGLE]
    index = folder / (named or _INDEX)
    if not index.is_file():
        return []
    try:
        parts = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        return sorted({str(part) for part in parts})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{index} is no index of weights ({error!r}); save the model again"
        ) from error


def check_weight_files(source: str, folder: Path) -> None:
    """Refuse a folder whose weights are missing, are pickles, or are an adapter's.

    Raises:
        ModelError: naming the file.
    """
    if (folder / _ADAPTER).is_file():
        raise ModelError(
            f"model {source!r} has an adapter ({_ADAPTER}), whose base would be loaded from where "
            "it says; merge it into its base model and give the folder that makes"
        )
    files = weight_files(folder)
    unsafe = [name for name in files if not name.endswith(_SAFE)]
    if unsafe:
        raise _pickled(source, unsafe[0])
    if not files:
        present = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES)
        if present:
            raise _pickled(source, present[0])
        raise ModelError(f"model {source!r} has no weights; its folder holds no {_SINGLE}")


def check_listed_weights(source: str, names: Iterable[str]) -> None:
    """Refuse a model of the hub whose weights are pickles only, before it is downloaded.

    Raises:
        ModelError: naming the file.
    """
    listed = list(names)
    pickled = [name for name in listed if name.endswith(_PICKLES)]
    if pickled and not any(name.endswith(_SAFE) for name in listed):
        raise _pickled(source, pickled[0])


def _named_by_configuration(folder: Path) -> str | None:
    """A configuration may name the file of the weights."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        named = config.get("transformers_weights")
    except (OSError, ValueError, AttributeError):
        return None  # transformers says what is wrong with it
    return named if isinstance(named, str) else None


def _pickled(source: str, name: str) -> ModelError:
    return ModelError(
        f"model {source!r} has its weights in {name}, a pickle, which can run code when it is "
        "read; save them as safetensors in an environment that you can lose, and give that"
    )
