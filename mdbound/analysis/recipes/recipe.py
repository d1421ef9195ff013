"""What a recipe is: a paper's experiment as data, with the models and texts to run it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mdbound.analysis.paths.path_setting import PathGrid
from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.studies.study import TableSpec
from mdbound.analysis.trees.tree_grid import PathsShape, TreeGrid


@dataclass(frozen=True)
class ModelPair:
    """A target and its drafts.

    Attributes:
        name: As `--models` knows it.
        target: As `mdbound capture --target` takes it; empty when a local file is asked for.
        drafts: As `--draft` takes them.
        skip_layers: Drafts made of the target without these layers.
        hub: Whether the models come from the hub.
    """

    name: str
    target: str = ""
    drafts: tuple[str, ...] = ()
    skip_layers: tuple[tuple[int, ...], ...] = ()
    hub: bool = False


#: Prompts of several kinds, in the folder `examples` of a checkout.
EXAMPLE_PROMPTS = "prompts.jsonl"

#: Ships with the package.
TINY = ModelPair("tiny", "tiny:target", ("tiny:draft",))

#: SmolLM2-135M-Instruct, and the same without two of its 30 layers.
SMOLLM2 = ModelPair("smollm2", skip_layers=((14, 20),))


@dataclass(frozen=True)
class Ours:
    """Where our number stands that belongs beside a published one.

    Attributes:
        where: Columns of the means to their values; exactly one row must fit.
        value: Column of the means.
        minus: A second row to subtract, or None.
    """

    where: Mapping[str, Any]
    value: str = "mean"
    minus: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class PublishedRow:
    """Published numbers and what to set beside them.

    Attributes:
        labels: What the row is, and the published numbers as printed.
        ours: Our numbers, one per value column.
    """

    labels: tuple[str, ...]
    ours: tuple[Ours, ...]


@dataclass(frozen=True)
class PublishedTable:
    """A paper's numbers beside ours.

    Attributes:
        caption: What the numbers are and where they are printed.
        labels: Names of the leading columns.
        values: Names of our columns.
        rows: The rows.
    """

    caption: str
    labels: tuple[str, ...]
    values: tuple[str, ...]
    rows: tuple[PublishedRow, ...]


@dataclass(frozen=True)
class FigureSpec:
    """A figure of a recipe.

    Attributes:
        kind: One of `mdbound.analysis.figures.FIGURES`.
        name: File name without ending.
        where: Column to the values kept.
    """

    kind: str
    name: str
    where: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class CaptureExperiment:
    """An experiment on models and text: capture, study, figures, published numbers.

    Attributes:
        pairs: The paper's pairs of models; the first is what `--models paper` means.
        text: The paper's texts, in words.
        documents_per_task: Prompts of each text that the paper answers; None if it does not say.
        new_tokens: Longest answer.
        temperature: Of the answers' sampling.
        grid: What to solve for.
        tables: Tables of the study.
        figures: Figures of its results.
        published: The paper's numbers beside ours, or None when none is known.
        per_task: Whether tables have rows per task, or of all tasks together alone.
        solve_times: Whether to measure how long a bound takes, per top-k and n.
        prompts: As of `PathExperiment`.
    """

    pairs: tuple[ModelPair, ...]
    text: str
    documents_per_task: int | None
    new_tokens: int
    temperature: float
    grid: SolveGrid
    tables: tuple[TableSpec, ...]
    figures: tuple[FigureSpec, ...]
    published: PublishedTable | None = None
    per_task: bool = False
    solve_times: bool = False
    prompts: str = EXAMPLE_PROMPTS


@dataclass(frozen=True)
class DraftedTrees:
    """Paths or trees that drafts draw at contexts of the answers, and what is computed on them.

    Attributes:
        grid: What to compute.
        name: Of the part of the experiment; empty where it is the only one.
        paths: How many are drawn at a context, and how long; None for trees.
        tree: As `mdbound capture --tree` takes it; None for paths.
        temperatures: Of the drafts, as `CaptureSettings.path_temperatures`.
        contexts: Contexts of each answer.
    """

    grid: TreeGrid
    name: str = ""
    paths: PathsShape | None = None
    tree: str | None = None
    temperatures: tuple[float, ...] = ()
    contexts: int = 8


@dataclass(frozen=True)
class PathExperiment:
    """An experiment on drafted paths: capture, tokens per call, a figure.

    Attributes:
        pairs: As of `CaptureExperiment`.
        text: Likewise.
        documents_per_task: Likewise.
        new_tokens: Longest answer.
        temperature: Of the answers' sampling.
        grid: What to compute.
        drafted: Trees that the text does not say enough of, drawn on it and evaluated beside it.
        prompts: File of `examples/` that small models answer.
    """

    pairs: tuple[ModelPair, ...]
    text: str
    documents_per_task: int | None
    new_tokens: int
    temperature: float
    grid: PathGrid
    drafted: DraftedTrees | None = None
    prompts: str = EXAMPLE_PROMPTS


@dataclass(frozen=True)
class TreeExperiment:
    """An experiment on drafted paths or trees: captures, verifiers, bound, figures.

    Attributes:
        pairs: As of `CaptureExperiment`.
        text: Likewise.
        documents_per_task: Likewise.
        new_tokens: Longest answer.
        temperature: Of the answers' sampling, and of the paths' where they say nothing else.
        parts: What is drawn, each on a capture of its own.
        prompts: As of `PathExperiment`.
    """

    pairs: tuple[ModelPair, ...]
    text: str
    documents_per_task: int | None
    new_tokens: int
    temperature: float
    parts: tuple[DraftedTrees, ...]
    prompts: str = EXAMPLE_PROMPTS


@dataclass(frozen=True)
class TwoDraftCurves:
    """An experiment that needs no models: two drafts over three tokens.

    Attributes:
        points: Points per curve.
    """

    points: int = 241


@dataclass(frozen=True)
class Recipe:
    """A paper's experiment.

    Attributes:
        name: As `mdbound recipe NAME` knows it.
        summary: What it shows, in one line.
        title: Heading of its report.
        citation: The paper.
        setup: What the paper did, as name and value.
        differences: What we do otherwise, whatever the models.
        experiment: What to run.
    """

    name: str
    summary: str
    title: str
    citation: str
    setup: tuple[tuple[str, str], ...]
    differences: tuple[str, ...]
    experiment: CaptureExperiment | PathExperiment | TreeExperiment | TwoDraftCurves

    @property
    def models(self) -> tuple[str, ...]:
        """What `--models` can be."""
        if isinstance(self.experiment, TwoDraftCurves):
            return ()
        return (TINY.name, SMOLLM2.name, *(pair.name for pair in self.experiment.pairs))
