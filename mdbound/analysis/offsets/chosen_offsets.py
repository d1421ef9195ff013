"""Chosen offsets, with what they were chosen on; and the JSON file of them.

A verifier is lossless for offsets that are fixed in advance. What is chosen on a text is therefore
reported on other documents, and part of the metadata of whatever is computed with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache.store.atomic_files import replacing
from mdbound.trees import verifier

#: Bytes of a file of offsets: those of K, L = 1..8 with 16 bins take a few hundred thousand.
LARGEST_FILE = 1 << 24

#: Bins of a node: more than these gain nothing and make tables large.
MOST_BINS = 256

#: Paths and tokens that offsets can be for.
MOST_PATHS = 1024

_VERSION = 1


@dataclass(frozen=True)
class ShapeOffsets:
    """Offsets for K paths of L tokens.

    Attributes:
        num_paths: K.
        length: L.
        kind: `gaussian` or `pooled`.
        share: a, how much the rest of a path counts beside its next token.
        expected_length: E tau on the documents that they were chosen on, which is the largest of
            those tried, and so too large for a claim.
        bins: Multipliers e^h by depth.
    """

    num_paths: int
    length: int
    kind: str
    share: float
    expected_length: float
    bins: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class ChosenOffsets:
    """Offsets chosen on a part of the documents of a capture.

    Attributes:
        capture: Identity of the capture.
        draft: Draft model.
        warpers: Of the target.
        draft_temperature: Of the draft.
        step: Of the classes of log-ratios.
        documents: Those that they were chosen on.
        spread: Standard deviation of log(p/q) under the draft there.
        shapes: By (K, L).
    """

    capture: str
    draft: str
    warpers: Mapping[str, Any]
    draft_temperature: float
    step: float
    documents: tuple[int, ...]
    spread: float
    shapes: tuple[ShapeOffsets, ...] = field(default=())

    def of(self, num_paths: int, length: int) -> ShapeOffsets:
        """Those for K paths of L tokens.

        Raises:
            InvalidSettingError: There are none.
        """
        for each in self.shapes:
            if (each.num_paths, each.length) == (num_paths, length):
                return each
        known = ", ".join(f"{each.num_paths}:{each.length}" for each in self.shapes)
        raise InvalidSettingError(
            f"`offsets` were not chosen for {num_paths} paths of {length} tokens, but for {known}: "
            "choose them for these, too"
        )

    def reports(self, capture: str, doc_id: int) -> bool:
        """Whether a document may be reported on: none that the offsets were chosen on.

        Args:
            capture: Identity of the capture that is reported on.
            doc_id: The document.
        """
        return capture != self.capture or doc_id not in self.documents

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it, and provenance of what is computed with it."""
        return {"mdbound_offsets": _VERSION, **json.loads(json.dumps(asdict(self)))}


def write_offsets(offsets: ChosenOffsets, out: Path | str) -> None:
    """Write the file.

    Raises:
        OutputError: It cannot be written.
    """
    with replacing(Path(out)) as temporary:
        temporary.write_text(json.dumps(offsets.as_dict(), indent=1) + "\n", encoding="utf-8")


def read_offsets(path: Path | str) -> ChosenOffsets:
    """Read a file of `write_offsets`, which anybody may have written.

    Raises:
        CacheError: It is missing, too large, or no such file; the message says where it is wrong.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise CacheError(f"{path} has more than {LARGEST_FILE} bytes: no file of offsets")
        raw = json.loads(path.read_text(encoding="utf-8"))
        return offsets_from(raw)
    except OSError as error:
        raise CacheError(f"{path} cannot be read ({error}); choose offsets again") from error
    except (KeyError, TypeError, ValueError, RecursionError, InvalidSettingError) as error:
        raise CacheError(f"{path} is no file of offsets ({error}); choose them again") from error


def offsets_from(raw: Any) -> ChosenOffsets:
    """Read back what `ChosenOffsets.as_dict` made, of JSON that anybody may have written.

    Raises:
        KeyError, TypeError, ValueError: It is no such record; says where.
    """
    raw = dict(raw) if isinstance(raw, dict) else raw
    if not isinstance(raw, dict) or raw.pop("mdbound_offsets", None) != _VERSION:
        raise ValueError(f"it does not say mdbound_offsets {_VERSION}")
    step = float(_of(raw, "step", float | int))
    documents = tuple(_whole(each, "documents") for each in _of(raw, "documents", list))
    shapes = tuple(_shape_from(each) for each in _of(raw, "shapes", list))
    if not shapes or len({(each.num_paths, each.length) for each in shapes}) < len(shapes):
        raise ValueError("shapes are missing, or one stands twice")
    for each in shapes:
        verifier("quantile", bins=[list(row) for row in each.bins], step=step)
    return ChosenOffsets(
        capture=_of(raw, "capture", str),
        draft=_of(raw, "draft", str),
        draft_temperature=float(_of(raw, "draft_temperature", float | int)),
        step=step,
        warpers=dict(_of(raw, "warpers", dict)),
        documents=documents,
        spread=float(_of(raw, "spread", float | int)),
        shapes=shapes,
    )


def _shape_from(raw: Any) -> ShapeOffsets:
    if not isinstance(raw, dict):
        raise TypeError(f"a shape is {raw!r}")
    sizes = {name: _whole(raw[name], name) for name in ("num_paths", "length")}
    bins = tuple(_multipliers(each) for each in _of(raw, "bins", list))
    if not all(1 <= size <= MOST_PATHS for size in sizes.values()) or len(bins) != sizes["length"]:
        raise ValueError(f"{len(bins)} lists of bins for {sizes}")
    return ShapeOffsets(
        **sizes,
        kind=_of(raw, "kind", str),
        share=float(_of(raw, "share", float | int)),
        expected_length=float(_of(raw, "expected_length", float | int)),
        bins=bins,
    )


def _multipliers(raw: Any) -> tuple[float, ...]:
    if not isinstance(raw, Sequence) or not 1 <= len(raw) <= MOST_BINS:
        raise ValueError(f"bins of a node are not 1 to {MOST_BINS} numbers")
    values = tuple(float(each) for each in raw if isinstance(each, float | int))
    if len(values) != len(raw) or not all(0.0 < each < float("inf") for each in values):
        raise ValueError(f"bins hold {raw!r}")
    return values


def _of(raw: Mapping[str, Any], name: str, kind: Any) -> Any:
    if not isinstance(raw[name], kind) or isinstance(raw[name], bool):
        raise TypeError(f"{name} is {raw[name]!r}")
    return raw[name]


def _whole(raw: Any, name: str) -> int:
    if type(raw) is not int:
        raise TypeError(f"{name} holds {raw!r}")
    return raw
