"""Experiments of papers, run on their models or on what is at hand."""

from __future__ import annotations

from mdbound.analysis.recipes.catalogue import RECIPES, get_recipe
from mdbound.analysis.recipes.models import Inputs
from mdbound.analysis.recipes.recipe import Recipe
from mdbound.analysis.recipes.recipe_run import RecipeOptions, RecipeRun
from mdbound.analysis.recipes.runner import run_recipe

__all__ = [
    "RECIPES",
    "Inputs",
    "Recipe",
    "RecipeOptions",
    "RecipeRun",
    "get_recipe",
    "run_recipe",
]
