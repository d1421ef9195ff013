"""What the site is built with beyond Markdown: formulas as MathML, and figures of `reports/`.

Both are done when the site is built, so that a page needs no network and no script.
"""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]

_MATH = re.compile(
    r'<(?P<tag>div|span) class="arithmatex">\\[\[(](?P<tex>.*?)\\[\])]</(?P=tag)>', re.DOTALL
)
_TAG = re.compile(r"\\tag\{([^}]*)\}")


def on_page_content(html: str, **_: Any) -> str:
    """Formulas of a page as MathML, with their numbers at the right."""
    return _MATH.sub(_as_mathml, html)


def _as_mathml(found: re.Match[str]) -> str:
    tex = unescape(found["tex"]).strip()
    number = _TAG.search(tex)
    inline = found["tag"] == "span"
    mathml = convert(_TAG.sub("", tex), display="inline" if inline else "block")
    if inline:
        return mathml
    label = f'<span class="number">({number[1]})</span>' if number else ""
    return f'<div class="formula">{mathml}{label}</div>'


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """Figures of `reports/` that pages show, at `reports/...` of the site."""
    for image in sorted((ROOT / "reports").rglob("*.png")):
        name = image.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(image)))
    return files
