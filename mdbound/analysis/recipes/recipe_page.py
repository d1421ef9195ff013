"""A recipe's report: the same content as an HTML page and as a README."""

from __future__ import annotations

from collections.abc import Sequence

from mdbound.analysis.figures import Drawing
from mdbound.analysis.pages.html_page import Facts, Notes, Page, Section
from mdbound.analysis.recipes.recipe import Recipe
from mdbound.analysis.tables.csv_markdown import escape_markdown, to_markdown
from mdbound.analysis.tables.table import Table


def recipe_page(
    recipe: Recipe,
    differences: Sequence[str],
    published: Sequence[Table],
    drawings: Sequence[Drawing],
    tables: Sequence[Table],
    closing: Sequence[Section],
) -> Page:
    """Put together the page of a recipe.

    Args:
        recipe: What was run.
        differences: From the paper, the models' first.
        published: The paper's numbers beside ours; empty when none is known.
        drawings: Figures.
        tables: Further tables.
        closing: From `html_report.closing_sections`, or the like.
    """
    return Page(
        recipe.title,
        (f"{recipe.citation}.", *differences[:1]),
        (
            Section("The paper's numbers beside ours", tuple(published)),
            Section("Figures", tuple(drawings)),
            Section("Tables", tuple(tables)),
            Section("What the paper did", (Facts(recipe.setup),)),
            Section("What differs here", (Notes(tuple(differences)),)),
            *closing,
        ),
    )


def recipe_readme(
    recipe: Recipe,
    differences: Sequence[str],
    published: Sequence[Table],
    drawings: Sequence[Drawing],
    tables: Sequence[str],
    commands: Sequence[str],
) -> str:
    """The same as Markdown; tables other than the published numbers are linked by name."""
    lines = [f"# {recipe.title}", "", f"{recipe.citation}.", ""]
    lines += ["```console", *dict.fromkeys(each for each in commands if each), "```", ""]
    lines += ["What differs from the paper:", "", *(f"- {text}" for text in differences), ""]
    for table in published:
        lines += [to_markdown(table)]
    for drawing in drawings:
        lines += [
            f"![{drawing.name}]({drawing.name}.png)",
            "",
            escape_markdown(drawing.caption),
            "",
        ]
    if tables:
        linked = ", ".join(f"[{name}]({name}.md)" for name in tables)
        lines += [f"Tables (also as CSV and LaTeX): {linked}.", ""]
    lines += ["What the paper did:", "", *(f"- {name}: {text}" for name, text in recipe.setup)]
    return "\n".join(lines) + "\n"
