"""Compiling tables with pdflatex, and what its log complains of."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mdbound.analysis.tables.latex import PREAMBLE

#: One column, two columns.
CLASSES = ("article", "twocolumn")

_HEADS = {
    "article": r"\documentclass{article}",
    "twocolumn": r"\documentclass[twocolumn]{article}",
}


def has_tex() -> bool:
    """Whether tables can be compiled here."""
    return shutil.which("pdflatex") is not None


def compile_tables(texts: Sequence[str], document_class: str, folder: Path) -> list[str]:
    """Complaints about fragments in one document of a class; raises where it does not compile."""
    names = []
    for number, text in enumerate(texts):
        (folder / f"part{number}.tex").write_text(text, encoding="utf-8")
        names.append(f"part{number}.tex")
    document = folder / f"{document_class}.tex"
    lines = [_HEADS[document_class], *PREAMBLE, r"\begin{document}", "Text."]
    # Floats are put out as they come, so that none waits for a page of its own.
    lines += [rf"\input{{{name}}}\clearpage" for name in names]
    document.write_text("\n".join([*lines, r"\end{document}"]), encoding="utf-8")
    return compile_document(document)


def compile_document(document: Path) -> list[str]:
    """Lines of the log that complain: boxes too full, floats too large, labels twice."""
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", document.name],
        cwd=document.parent,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert document.with_suffix(".pdf").exists()
    return re.findall(r"(?m)^(?:Overfull|.*Float too large|.*multiply.defined|! ).*$", done.stdout)
