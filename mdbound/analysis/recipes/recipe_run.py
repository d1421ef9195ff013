"""How a recipe is run, what it leaves behind, and what all of them say and write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mdbound.analysis.pages.html_page import Page, render_page
from mdbound.analysis.pages.html_report import PAGE_NAME
from mdbound.analysis.recipes.models import Inputs
from mdbound.analysis.recipes.recipe import SMOLLM2, TINY, Recipe
from mdbound.analysis.solving.results import Provenance
from mdbound.analysis.solving.solve_cache import ProgressCallback
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.tables.files import write_text
from mdbound.analysis.tables.table import Table
from mdbound.logits_cache.capturing.progress import CaptureProgress


@dataclass(frozen=True)
class RecipeOptions:
    """How to run a recipe.

    Attributes:
        out: Folder of everything it makes.
        inputs: Models and text; None for a recipe without models.
        capture: Folder of the logits; `out/capture` when None.
        bootstrap: How intervals are made.
        command: Command line, kept with the results.
        on_capture: Called after each batch of the capture.
        on_solve: Called after each batch of positions.
    """

    out: Path
    inputs: Inputs | None = None
    capture: Path | None = None
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    command: str = ""
    on_capture: Callable[[CaptureProgress], None] | None = None
    on_solve: ProgressCallback | None = None


@dataclass(frozen=True)
class RecipeRun:
    """What a recipe left behind.

    Attributes:
        recipe: What was run.
        table: The paper's numbers beside ours, or the main table.
        files: Every file of the report.
    """

    recipe: Recipe
    table: Table
    files: tuple[Path, ...]


def models_differ(recipe: Recipe, provenance: Provenance, models: str) -> str:
    """Say plainly that the models and the text are not the paper's, or that the models are."""
    capture = provenance.capture
    paper = dict(recipe.setup)
    ours = (
        f"{Path(str(capture['target'])).name} with {', '.join(map(str, capture['drafts']))} on "
        f"{capture['documents']} documents of {capture['text']}"
    )
    if models not in (TINY.name, SMOLLM2.name):
        return f"Models of the paper: {ours}; the text is the one given, not checked to be its own."
    theirs = f"{paper['models']} on {paper.get('text', 'text not known to us')}"
    return (
        f"DIFFERENT MODELS AND TEXT. The paper: {theirs}. Here: {ours}. Compare orders and gaps, "
        "not levels."
    )


def write_report(folder: Path, page: Page, readme: str) -> list[Path]:
    """Write a recipe's page and its README.

    Raises:
        OutputError: They cannot be written.
    """
    return [
        write_text(folder / PAGE_NAME, render_page(page)),
        write_text(folder / "README.md", readme),
    ]
