"""`mdbound recipes`."""

from __future__ import annotations

import typer

EXAMPLE = "Example: mdbound recipes"


def register(app: typer.Typer) -> None:
    """Add `mdbound recipes` to the command line."""
    app.command("recipes", epilog=EXAMPLE)(recipes)


def recipes() -> None:
    """List the papers' experiments that `mdbound recipe` runs."""
    from mdbound.analysis.recipes import RECIPES

    for recipe in RECIPES.values():
        typer.echo(recipe.name)
        typer.echo(f"    {recipe.summary}")
        typer.echo(f"    {recipe.citation}")
        typer.echo(f"    --models: {', '.join(recipe.models) or 'none needed'}")
