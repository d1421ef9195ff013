"""Every recipe, by name."""

from __future__ import annotations

from collections.abc import Mapping

from mdbound.analysis.recipes.papers import (
    draft_trees,
    drafted_paths,
    global_resolution,
    hu2025,
    khisti2025,
)
from mdbound.analysis.recipes.recipe import Recipe
from mdbound.errors import refuse_unknown

RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        hu2025.TABLE_1,
        khisti2025.FIGURE_2,
        khisti2025.TABLE_3,
        khisti2025.TEMPERATURE,
        global_resolution.TOP_K,
        drafted_paths.ASPS,
        drafted_paths.BLOCK,
        draft_trees.HU_TREES,
        draft_trees.KHISTI_BLOCKS,
        draft_trees.TRAVERSAL,
        draft_trees.DDTE,
    )
}


def get_recipe(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        InvalidSettingError: There is none; the nearest is suggested.

    Example:
        >>> get_recipe("hu2025-table1").models
        ('tiny', 'smollm2', 'llama-7b', 'opt-6.7b')
    """
    refuse_unknown([name], RECIPES, "recipe")
    return RECIPES[name]
