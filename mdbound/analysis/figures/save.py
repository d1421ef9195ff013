"""Figures as files and as text: the same bytes for the same figure, on every run."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdbound.analysis.figures.style import INK, PALETTE, figure_settings
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache.store.atomic_files import replacing

if TYPE_CHECKING:
    from mdbound.analysis.figures.drawing import Drawing

#: Endings that a figure can be written with.
FORMATS = ("pdf", "png", "svg")

# Without them matplotlib writes the date, and its own version, which would change the bytes.
_METADATA: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
}


def write_drawing(
    drawing: Drawing, folder: Path, formats: Sequence[str] = ("pdf", "png")
) -> list[Path]:
    """Write `NAME.pdf` and `NAME.png`; a file that already holds the same bytes is left alone.

    Args:
        drawing: What to write; its name is the files'.
        folder: Made when missing.
        formats: Endings, of `FORMATS`.

    Returns:
        The files.

    Raises:
        OutputError: The folder cannot be written; files that were there stay.
    """
    return [write_as(drawing, folder / f"{drawing.name}.{ending}") for ending in formats]


def write_as(drawing: Drawing, path: Path) -> Path:
    """Write a figure as the file's ending says.

    Raises:
        InvalidSettingError: The ending is none of `FORMATS`.
        OutputError: The file cannot be written; what was there stays.
    """
    ending = path.suffix.removeprefix(".").lower()
    if ending not in FORMATS:
        raise InvalidSettingError(
            f"`out` {path}: a figure ends in {', '.join(f'.{each}' for each in FORMATS)}"
        )
    content = _render(drawing, ending)
    if not path.is_file() or path.read_bytes() != content:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    return path


def inline_svg(drawing: Drawing) -> str:
    """The figure as an SVG element for an HTML page.

    It takes the colour of the text around it, and those of the palette from CSS variables.
    Its ids start with the figure's name, so that several figures can stand on one page.
    """
    text = _render(drawing, "svg").decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\sid="|href="#|url\(#)', rf"\g<1>{drawing.name}-", text)
    text = text.replace('xlink:href="', 'href="').replace(INK, "currentColor")
    for name, colour in PALETTE.items():
        text = text.replace(colour, f"var(--{name}, {colour})")
    # The page scales it to the width there is: without a size of its own, by its view box.
    text = re.sub(r'<svg ([^>]*?)width="[^"]*" ?', r"<svg \1", text, count=1)
    text = re.sub(r'<svg ([^>]*?)height="[^"]*" ?', r"<svg \1", text, count=1)
    return re.sub(r'\s*xmlns(:\w+)?="[^"]*"', "", text)


def _render(drawing: Drawing, ending: str) -> bytes:
    buffer = io.BytesIO()
    with figure_settings():
        drawing.figure.savefig(
            buffer, format=ending, metadata=_METADATA[ending], transparent=ending == "svg"
        )
    return buffer.getvalue()
