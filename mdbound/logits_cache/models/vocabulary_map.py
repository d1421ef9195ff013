"""Files that say which tokens a draft with a pruned vocabulary puts out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mdbound.errors import ModelError
from mdbound.logits_cache.models.logit_columns import Int64Array, LogitColumns

#: For a draft that has all of the target's tokens, among others that have a map.
NO_MAP = "none"


@dataclass(frozen=True, eq=False)
class VocabularyMap:
    """The tokens of the target that a draft puts out.

    Attributes:
        path: the file.
        tokens: the target's token of each of the draft's, shape (K,).
    """

    path: Path
    tokens: Int64Array

    @property
    def sha256(self) -> str:
        """Fingerprint of the tokens and their order."""
        return hashlib.sha256(self.tokens.astype("<i8").tobytes()).hexdigest()

    def prunes_head(self, width: int) -> bool:
        """Whether a draft of so many logits has one for each token of the map."""
        return width == len(self.tokens)

    def columns(self, width: int, vocab_size: int, source: str) -> LogitColumns:
        """Columns of a draft of `width` logits, of V tokens.

        A draft with a pruned head has one column for each token of the map, in its order, as in
        EAGLE-3. Of a draft with a whole head those of the map's tokens are used, as in FR-Spec.

        Raises:
            ModelError: the map does not fit the draft or the target.
        """
        largest = int(self.tokens.max())
        if largest >= vocab_size:
            raise ModelError(
                f"{self.path} names token {largest}, and the target has {vocab_size}; give the "
                "map that was made for this target"
            )
        if self.prunes_head(width):
            return LogitColumns(np.arange(width), self.tokens, vocab_size)
        if width < vocab_size:
            raise ModelError(
                f"{self.path} names {len(self.tokens)} tokens, and draft {source!r} has {width} "
                f"logits, neither as many nor one for each of the target's {vocab_size} tokens; "
                "give the map that was made for this draft"
            )
        return LogitColumns(self.tokens, self.tokens, vocab_size)


def read_vocabulary_map(path: Path) -> VocabularyMap:
    """Read a map.

    Args:
        path: `.safetensors` with a tensor `d2t`, which says for each of the draft's tokens how
            far its number is below that of the target's, as EAGLE-3 writes it; or `.json` or
            `.npy` with the target's numbers themselves.

    Raises:
        ModelError: there is no such file, it is of another kind, or its numbers are no map.
    """
    reader = _READERS.get(path.suffix.lower())
    if not path.is_file():
        raise ModelError(f"no vocabulary map {path}; give a file")
    if reader is None:
        raise ModelError(
            f"vocabulary map {path} is none of {', '.join(_READERS)}; pickles are not read, since "
            "they can hold code: write the target's tokens as a list into a .json file"
        )
    try:
        tokens = reader(path)
    except Exception as error:  # readers of files raise classes of their own
        reason = " ".join(str(error).split())[:160]
        raise ModelError(
            f"vocabulary map {path} cannot be read ({reason}); check the file"
        ) from error
    return VocabularyMap(path, _checked(tokens, path))


def _checked(values: Any, path: Path) -> Int64Array:
    tokens = np.asarray(values)
    if tokens.ndim != 1 or tokens.size == 0 or tokens.dtype.kind not in "iu":
        raise ModelError(f"vocabulary map {path} is no list of whole numbers; give token numbers")
    if tokens.min() < 0:
        raise ModelError(f"vocabulary map {path} names token {tokens.min()}; numbers begin at 0")
    found, counts = np.unique(tokens, return_counts=True)
    if len(found) < len(tokens):
        raise ModelError(
            f"vocabulary map {path} names token {found[counts > 1][0]} more than once; give "
            "each of the draft's tokens one of its own"
        )
    return tokens.astype(np.int64)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8-sig"))


def _npy(path: Path) -> Any:
    return np.load(path, allow_pickle=False)


def _safetensors(path: Path) -> Any:
    from safetensors import safe_open

    with safe_open(str(path), framework="np") as file:
        names = set(file.keys())
        if "d2t" not in names:
            raise ValueError(f"it has no tensor d2t; it has {', '.join(sorted(names)[:5])}")
        offsets = np.asarray(file.get_tensor("d2t"))
        tokens = np.arange(len(offsets)) + offsets
        if "t2d" in names:
            known = np.flatnonzero(np.asarray(file.get_tensor("t2d")))
            if not np.array_equal(known, np.sort(tokens)):
                raise ValueError("its tensors d2t and t2d name different tokens")
    return tokens


_READERS: Mapping[str, Callable[[Path], Any]] = {
    ".json": _json,
    ".npy": _npy,
    ".safetensors": _safetensors,
}
