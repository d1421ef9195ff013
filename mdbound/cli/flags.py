"""The one place that turns arguments and fields into flags.

The library knows no command line: its messages name arguments in backticks. Here they become
what was typed, or what to type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mdbound.errors import MdboundError

#: Argument or field, to what the command line calls it.
FLAGS: Mapping[str, str] = {
    **{
        name: f"--{name.replace('_', '-')}"
        for name in (
            *("align_vocabulary", "draft_cost", "draft_vocabulary", "target_cost"),
            *("batch_rows", "batch_size", "capture", "chat_template", "cvxpy_rows", "device"),
            *("documents", "dtype", "field", "history", "limit", "limit_per_task"),
            *("max_context", "max_new_tokens", "max_positions", "min_p", "mode", "model_file"),
            *(
                "last_level",
                "length",
                "path_contexts",
                "path_every",
                "paths",
                "tree",
                "tree_sampling",
                "trees_per_context",
                "shapes",
                "verifiers",
                "instances",
                "mixed",
                "offsets",
                "parameters",
                "contexts",
            ),
            *(
                "max_children",
                "max_depth",
                "rule",
                "kind",
                "runs",
                "problems",
                "scheme",
                "against",
                "within",
            ),
            *("models", "num_drafts", "out", "points", "positions", "resamples", "rows"),
            *("sampling", "scheme_samples", "scheme_seed", "schemes", "seed", "shard_rows"),
            *("system", "target", "temperature", "text", "top_k", "top_p"),
            *("trust_remote_code", "turns", "vocabulary_of", "where", "window_bos"),
        )
    },
    "budgets": "--budget",
    "draft_length": "--length",
    "random_problems": "--problems",
    "lengths": "--length",
    "draft_temperatures": "--draft-temperature",
    "drafts": "--draft",
    "path_temperatures": "--path-temperature",
    "skip_layers": "--draft-skip-layers",
    "tasks": "--task",
    "temperatures": "--temperature",
    "vocabulary_sizes": "--vocabulary-size",
    # Functions that a remedy names.
    "add_drafts": "`mdbound capture --into CACHE --draft MODEL`",
    "solve_cache": "`mdbound solve CACHE --out FILE`",
    "run_on_trees": "`mdbound trees CACHE --out FILE`",
    "run_on_capture": "`mdbound paths CACHE --out FILE`",
}

#: What some commands call otherwise. `--temperature` of a capture is what answers are sampled at.
_OF_COMMAND: Mapping[str, Mapping[str, str]] = {
    "capture --solve": {
        "draft_temperatures": "--solve-draft-temperature",
        "out": "--solve",
        "temperatures": "--solve-temperature",
        "min_p": "--solve-min-p",
        "top_k": "--solve-top-k",
        "top_p": "--solve-top-p",
    },
    "recipe": {
        "limit_per_task": "--documents",
        "max_new_tokens": "--positions",
        "max_positions": "--positions",
    },
}


def with_flags(text: str, command: str) -> str:
    """A message of the library as the command line words it.

    Args:
        text: Names arguments and fields in backticks; those that are no options stay as they are.
        command: The command that was typed, or `"capture --solve"`.

    Example:
        >>> with_flags("`temperatures` -1.0: give 0 or more", "solve")
        '--temperature -1.0: give 0 or more'
        >>> with_flags("`temperatures` -1.0: give 0 or more", "capture --solve")
        '--solve-temperature -1.0: give 0 or more'
    """
    words = {**FLAGS, **(_study_keys() if command == "sweep" else _OF_COMMAND.get(command, {}))}
    return re.sub(r"`(\w+)`", lambda found: words.get(found[1], found[0]), text)


@contextmanager
def flags_of(command: str) -> Iterator[None]:
    """Word the errors of the block as a command does that its name alone does not tell.

    Raises:
        MdboundError: What the block raised, with flags in its message.
    """
    try:
        yield
    except MdboundError as error:
        raise type(error)(with_flags(str(error), command)) from error


def _study_keys() -> dict[str, str]:
    """Fields as the keys of a study file that set them: it is the file that has to be changed."""
    from mdbound.analysis.studies.study_file import all_keys

    return {key.name: name for name, key in all_keys().items()}
