"""Run a recipe: capture, study, figures, and the paper's numbers beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from mdbound.analysis.figures import Drawing, FigureOptions, draw, write_drawing
from mdbound.analysis.pages.html_page import (
    Commands,
    Facts,
    Section,
)
from mdbound.analysis.pages.html_report import closing_sections
from mdbound.analysis.recipes.models import Inputs, capture_settings
from mdbound.analysis.recipes.published import published_table
from mdbound.analysis.recipes.recipe import (
    CaptureExperiment,
    PathExperiment,
    Recipe,
    TreeExperiment,
    TwoDraftCurves,
)
from mdbound.analysis.recipes.recipe_page import recipe_page, recipe_readme
from mdbound.analysis.recipes.recipe_run import (
    RecipeOptions,
    RecipeRun,
    models_differ,
    write_report,
)
from mdbound.analysis.recipes.solve_times import BOUND_TIME, DECOMPOSITION_TIME, solve_times
from mdbound.analysis.recipes.tree_runner import run_paths_recipe, run_trees_recipe
from mdbound.analysis.recipes.two_drafts import (
    curves_table,
    draw_curves,
    run_facts,
    solve_curves,
    write_curves,
)
from mdbound.analysis.solving.results import BOUND
from mdbound.analysis.solving.selection import capture_tasks
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.statistics.task_means import ALL_TASKS
from mdbound.analysis.studies.run_study import StudyRun, run_study
from mdbound.analysis.studies.study import Study, TableSpec
from mdbound.analysis.tables.files import write_table
from mdbound.analysis.tables.notes import table_notes
from mdbound.analysis.tables.table import Measure, Table, acceptance_table
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache.capturing.capture import capture
from mdbound.logits_cache.store.cache import LogitsCache

#: Columns of nulls: times have no intervals.
_NO_INTERVAL = ("no_low", "no_high")


def run_recipe(recipe: Recipe, options: RecipeOptions) -> RecipeRun:
    """Run a recipe; what an earlier run finished is not done again, and no byte of it changes.

    Args:
        recipe: From `catalogue.get_recipe`.
        options: Where to, and on what.

    Raises:
        InvalidSettingError: An option does not go with the recipe, or the folder holds a run on
            other models or text.
        ModelError: A model or text has to be fetched first; the message says how.
        MissingDependencyError: The capture or plots extra is not installed.
        OutputError: The disk is full or cannot be written; what was finished is kept.
    """
    if isinstance(recipe.experiment, TwoDraftCurves):
        if options.inputs is not None or options.capture is not None:
            raise InvalidSettingError(
                f"{recipe.name} needs no models and no text; leave out `models`, `model_file`, "
                "`text`, `documents`, `positions` and `capture`"
            )
        return _run_curves(recipe, recipe.experiment, options)
    if isinstance(recipe.experiment, PathExperiment):
        return run_paths_recipe(recipe, recipe.experiment, options)
    if isinstance(recipe.experiment, TreeExperiment):
        return run_trees_recipe(recipe, recipe.experiment, options)
    return _run_on_capture(recipe, recipe.experiment, options)


def _run_curves(recipe: Recipe, curves: TwoDraftCurves, options: RecipeOptions) -> RecipeRun:
    facts = run_facts(options.out)
    command = f"mdbound recipe {recipe.name}"
    notes = (f"Made with {_listed(facts)}.", f"Made by: {command}")
    panels = solve_curves(curves)
    table, drawing = curves_table(panels, notes), draw_curves(panels)
    closing = (
        Section("Provenance", (Facts(tuple(facts.items())),)),
        Section("Commands", (Commands((command,)),)),
    )
    page = recipe_page(recipe, recipe.differences, (), (drawing,), (table,), closing)
    readme = recipe_readme(recipe, recipe.differences, (table,), (drawing,), (), (command,))
    files = [
        *write_curves(panels, options.out, notes),
        *write_report(options.out, page, readme),
        options.out / "provenance.json",
    ]
    return RecipeRun(recipe, table, tuple(files))


def _run_on_capture(
    recipe: Recipe, experiment: CaptureExperiment, options: RecipeOptions
) -> RecipeRun:
    folder = options.capture or options.out / "capture"
    inputs = options.inputs or Inputs()
    settings = capture_settings(recipe, experiment, inputs, folder)
    capture(settings, options.on_capture)
    cache = LogitsCache.open(folder)
    run = run_study(
        _study(recipe, experiment, cache, options),
        command=options.command,
        on_progress=options.on_solve,
    )
    provenance = run.results.provenance
    differences = (models_differ(recipe, provenance, inputs.models), *recipe.differences)
    notes = (*differences, *table_notes(run.means, provenance, options.bootstrap))
    means, timed = _with_times(run, experiment, cache, notes)
    published: dict[str, Table] = {}
    if experiment.published is not None:
        published["published"] = published_table(experiment.published, means, notes)
    drawings = _drawings(run, experiment, options.bootstrap)
    files: list[Path] = []
    for name, table in {**published, **timed}.items():
        files += write_table(table, options.out, name, [run.results.path])
    for drawing in drawings:
        files += write_drawing(drawing, options.out)
    names = [*(spec.name for spec in run.study.all_tables), *timed]
    tables = (*run.tables, *timed.values())
    commands, beside = (provenance.command,), tuple(published.values())
    closing = closing_sections(run.means, provenance, options.bootstrap, commands)
    page = recipe_page(recipe, differences, beside, drawings, tables, closing)
    readme = recipe_readme(recipe, differences, beside, drawings, names, commands)
    files += write_report(options.out, page, readme)
    return RecipeRun(recipe, (*beside, *tables)[0], (*run.files, *files))


def _study(
    recipe: Recipe, experiment: CaptureExperiment, cache: LogitsCache, options: RecipeOptions
) -> Study:
    several = len(capture_tasks(cache)) > 1
    pooled = {"task": (ALL_TASKS,)} if several and not experiment.per_task else {}
    tables = (replace(spec, where={**spec.where, **pooled}) for spec in experiment.tables)
    return Study(
        recipe.name,
        cache.path,
        options.out,
        experiment.grid,
        bootstrap=options.bootstrap,
        tables=tuple(_with_label(spec, recipe) for spec in tables),
    )


def _with_label(spec: TableSpec, recipe: Recipe) -> TableSpec:
    return replace(spec, label=spec.label or f"tab:{recipe.name}-{spec.name}")


def _with_times(
    run: StudyRun, experiment: CaptureExperiment, cache: LogitsCache, notes: Sequence[str]
) -> tuple[pl.DataFrame, dict[str, Table]]:
    """Means with the times of their bounds, and tables of those."""
    if not experiment.solve_times:
        return run.means, {}
    times = solve_times(cache, experiment.grid, run.study.out / "solve_times.json")
    bounds = run.means.filter(
        (pl.col("task") == run.means["task"][0])
        & (pl.col("scheme") == BOUND)
        & (pl.col("sampling") == "with_replacement")
    )
    means = bounds.join(
        times, on=["top_k", "num_drafts"], how="left", nulls_equal=True, maintain_order="left"
    ).with_columns(pl.lit(None, pl.Float64).alias(name) for name in _NO_INTERVAL)
    measures = {
        "time-bound": Measure(
            "Milliseconds per position of the bound, solved in batches on all cores",
            *(BOUND_TIME, *_NO_INTERVAL),
            best=None,
            label="tab:time-bound",
        ),
        "time-decomposition": Measure(
            "Milliseconds per position of the canonical decomposition that the exact optimal "
            "scheme samples from, one position after the other; median over positions",
            *(DECOMPOSITION_TIME, *_NO_INTERVAL),
            best=None,
            label="tab:time-decomposition",
        ),
    }
    tables = {name: acceptance_table(means, notes, each) for name, each in measures.items()}
    return means, tables


def _drawings(run: StudyRun, experiment: CaptureExperiment, bootstrap: Bootstrap) -> list[Drawing]:
    drawn = (
        (spec, draw(spec.kind, run.results, FigureOptions(bootstrap, spec.where)))
        for spec in experiment.figures
    )
    return [replace(drawing, name=spec.name) for spec, drawing in drawn]


def _listed(facts: dict[str, str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items())
