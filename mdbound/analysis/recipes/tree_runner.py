"""Recipes of tokens per call: along drafted paths, and of the trees that drafts draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mdbound.analysis.figures import Drawing, write_drawing
from mdbound.analysis.figures.path_kinds import draw_path_figure
from mdbound.analysis.figures.tree_kinds import draw_tree_lengths
from mdbound.analysis.pages.html_page import Commands, Notes, Section
from mdbound.analysis.paths.path_results import open_paths
from mdbound.analysis.paths.path_tables import write_path_report
from mdbound.analysis.paths.run_paths import GIVEN, OF_TARGET, run_on_capture
from mdbound.analysis.recipes.models import Inputs, capture_settings
from mdbound.analysis.recipes.recipe import DraftedTrees, PathExperiment, Recipe, TreeExperiment
from mdbound.analysis.recipes.recipe_page import recipe_page, recipe_readme
from mdbound.analysis.recipes.recipe_run import (
    RecipeOptions,
    RecipeRun,
    models_differ,
    write_report,
)
from mdbound.analysis.solving.results import Provenance
from mdbound.analysis.tables.notes import provenance_notes
from mdbound.analysis.tables.table import Table
from mdbound.analysis.trees.run_trees import run_on_trees
from mdbound.analysis.trees.tree_results import open_trees
from mdbound.analysis.trees.tree_tables import write_tree_report
from mdbound.logits_cache.capturing.capture import capture
from mdbound.logits_cache.store.cache import LogitsCache


def run_paths_recipe(
    recipe: Recipe, experiment: PathExperiment, options: RecipeOptions
) -> RecipeRun:
    """Tokens per call on the target's answers, and on trees drafted there if there are any."""
    folder = options.capture or options.out / "capture"
    inputs = options.inputs or Inputs()
    capture(
        capture_settings(recipe, experiment, inputs, folder, experiment.drafted),
        options.on_capture,
    )
    made = run_on_capture(
        LogitsCache.open(folder),
        experiment.grid,
        options.out / "paths.parquet",
        command=options.command,
        on_progress=options.on_solve,
    )
    results = open_paths(made.path)
    differences = (
        models_differ(recipe, results.provenance, inputs.models), *recipe.differences,
        *_TEXT_NOTES[made.law],
    )  # fmt: skip
    report = write_path_report(results, options.out, bootstrap=options.bootstrap, notes=differences)
    drawing = draw_path_figure("tokens-per-call", results, options.bootstrap)
    commands = (results.provenance.command,)
    closing = (
        Section("Provenance", (Notes(tuple(provenance_notes(results.provenance))),)),
        Section("Commands", (Commands(commands),)),
    )
    tables, drawings = [report.table], [drawing]
    files = [*report.files, *write_drawing(drawing, options.out)]
    if experiment.drafted is not None:
        part = _run_part(recipe, experiment, experiment.drafted, options)
        tables.append(part.table)
        drawings.append(part.drawing)
        files += part.files
    page = recipe_page(recipe, differences, tables, drawings, (), closing)
    names = ("tokens_per_call_by_document", "tokens_at_positions")
    readme = recipe_readme(recipe, differences, tables, drawings, names, commands)
    files += write_report(options.out, page, readme)
    return RecipeRun(recipe, report.table, tuple(files))


def run_trees_recipe(
    recipe: Recipe, experiment: TreeExperiment, options: RecipeOptions
) -> RecipeRun:
    """Verifiers on drafted paths and trees, each part on a capture of its own."""
    parts = [_run_part(recipe, experiment, part, options) for part in experiment.parts]
    provenance = parts[0].provenance
    inputs = options.inputs or Inputs()
    differences = (models_differ(recipe, provenance, inputs.models), *recipe.differences)
    tables, drawings = [part.table for part in parts], [part.drawing for part in parts]
    commands = (provenance.command,)
    notes = [note for part in parts for note in provenance_notes(part.provenance)]
    closing = (
        Section("Provenance", (Notes(tuple(dict.fromkeys(notes))),)),
        Section("Commands", (Commands(commands),)),
    )
    page = recipe_page(recipe, differences, tables, drawings, (), closing)
    readme = recipe_readme(recipe, differences, tables, drawings, (), commands)
    files = [file for part in parts for file in part.files]
    return RecipeRun(recipe, tables[0], (*files, *write_report(options.out, page, readme)))


@dataclass(frozen=True)
class _Part:
    """What was computed on the trees of one capture."""

    provenance: Provenance
    table: Table
    drawing: Drawing
    files: tuple[Path, ...]


def _run_part(
    recipe: Recipe,
    experiment: PathExperiment | TreeExperiment,
    part: DraftedTrees,
    options: RecipeOptions,
) -> _Part:
    """Capture the trees of a part, and run their verifiers."""
    inputs = options.inputs or Inputs()
    folder = (options.capture or options.out / "capture") / part.name
    capture(capture_settings(recipe, experiment, inputs, folder, part), options.on_capture)
    made = run_on_trees(
        LogitsCache.open(folder),
        part.grid,
        options.out / part.name / "trees.parquet",
        command=options.command,
        on_progress=options.on_solve,
    )
    results = open_trees(made.path)
    notes = (models_differ(recipe, results.provenance, inputs.models), *recipe.differences)
    report = write_tree_report(
        results, options.out / part.name, bootstrap=options.bootstrap, notes=notes
    )
    drawing = draw_tree_lengths(results, options.bootstrap)
    if part.name:
        drawing = replace(drawing, name=f"{drawing.name}-{part.name}")
    files = (*report.files, *write_drawing(drawing, options.out))
    return _Part(results.provenance, report.table, drawing, files)


#: What has to be said of the text, by the law of `PathsSummary`.
_TEXT_NOTES = {
    OF_TARGET: (),
    GIVEN: (
        "The text was given, not written by the target: calls are those that this text takes, and "
        "say nothing about text of the model.",
    ),
}
