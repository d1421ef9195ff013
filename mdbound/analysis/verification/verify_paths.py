"""Checking results of `paths`: the run again, and drawn texts by roads that share no code with it.

- *again*: every row of the file, in every column, is what the run gives when it is done again from
  the capture, or from the file of log-probabilities.
- *tails*: of drawn texts, P(tau >= l) over positions token by token through each window, for the
  rules of one path, from distributions made by another softmax; so are weights.
- *calls*: calls, their tokens and their tails by a backward recursion over the text, in exact sums
  of P(tau >= l); of rules of several paths these are the run's own, which *again* made.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from mdbound.analysis.offsets.chosen_offsets import offsets_from
from mdbound.analysis.paths.captured_texts import texts_of
from mdbound.analysis.paths.logprobs_file import read_logprobs
from mdbound.analysis.paths.path_results import LAW_COLUMNS, RULE_COLUMNS, open_paths
from mdbound.analysis.paths.path_setting import PathGrid, PathSetting
from mdbound.analysis.paths.run_paths import law_of_text, run_on_logprobs, run_on_settings
from mdbound.analysis.paths.texts import ScoredText
from mdbound.analysis.solving.results import Provenance, Results
from mdbound.analysis.verification.drawn_part import (
    drawn_places,
    refuse_another_capture,
    refuse_no_draw,
)
from mdbound.analysis.verification.outcome import Record, Verification
from mdbound.analysis.verification.plain_texts import CALLS, TAILS_OF_TEXTS, PlainRows, check_text
from mdbound.analysis.verification.same_rows import differences
from mdbound.bounds import Warpers
from mdbound.errors import CacheError, InvalidSettingError, MdboundError
from mdbound.logits_cache.store.cache import LogitsCache

AGAIN = "again"
CHECKS = (AGAIN, TAILS_OF_TEXTS, CALLS)

KEYS = ("doc_id", "turn", *LAW_COLUMNS, *RULE_COLUMNS, "draft_length")


def verify_paths(
    results: Path | str,
    source: LogitsCache | Path,
    *,
    texts: int | None = 20,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Check a file of tokens per call; see the module for how.

    Args:
        results: File written by `paths`.
        source: The capture that it was made from, or its file of log-probabilities.
        texts: Documents to draw for *tails* and *calls*; None for all. *again* is of every row.
        seed: Seed of the draw.
        on_progress: Called with positions done and positions in all.

    Raises:
        InvalidSettingError: `texts` below 1, or results of another source.
        CacheError: Results or capture are damaged.
    """
    refuse_no_draw(texts)
    opened, record = open_paths(results), Record(CHECKS)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "again.parquet"
        if isinstance(source, LogitsCache):
            run = _Capture.of(opened, source)
            run.again(out, on_progress)
        else:
            _logprobs_again(opened, source, out)
        rerun = open_paths(out)
        record.checks[AGAIN].rows = total = opened.height()
        changed = replace(rerun.provenance, version=opened.provenance.version)
        if (difference := opened.provenance.first_difference(changed)) is not None:
            record.contradict("the metadata", AGAIN, difference)
        for row, what, off in differences(opened.frame, rerun.frame, KEYS):
            record.contradict(row, AGAIN, what, off)
    documents = _drawn(opened, texts, seed)
    chosen = opened.frame.filter(pl.col("doc_id").is_in(documents)).collect()
    longest = int(chosen["draft_length"].max() or 1)  # type: ignore[arg-type]
    by_text = chosen.partition_by("doc_id", "turn", *LAW_COLUMNS, as_dict=True)
    if isinstance(source, LogitsCache):
        plain: Iterator[ScoredText] = run.plain_texts(documents)
    else:
        plain = (text for text in read_logprobs(source) if text.doc_id in documents)
    for text in plain:
        key = (text.doc_id, text.turn, *(text.setting[name] for name in LAW_COLUMNS))
        if key in by_text:
            check_text(text, by_text[key], longest, record)
    return Verification(total, record.checks, record.failures, total)


def _drawn(results: Results, count: int | None, seed: int) -> list[str]:
    names = results.frame.select("doc_id").unique(maintain_order=True).collect()["doc_id"].to_list()
    return [names[place] for place in drawn_places(len(names), count, seed)]


def _logprobs_again(opened: Results, source: Path, out: Path) -> None:
    try:
        (setting,) = opened.provenance.settings
        run_on_logprobs(source, out, schemes=setting["schemes"], lengths=setting["lengths"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(opened, error) from error
    if open_paths(out).provenance.capture_identity != opened.provenance.capture_identity:
        raise InvalidSettingError(
            f"{opened.path} is of another file than {source}: give the one that it was made from"
        )


def _damaged(opened: Results, error: Exception) -> CacheError:
    return CacheError(f"{opened.path}: damaged settings ({error}); run `run_on_capture` again")


@dataclass(frozen=True)
class _Capture:
    """The run of a file on its capture."""

    cache: LogitsCache
    grid: PathGrid
    settings: tuple[PathSetting, ...]

    @classmethod
    def of(cls, opened: Results, cache: LogitsCache) -> _Capture:
        """Read the settings of a file.

        Raises:
            CacheError: They are none.
            InvalidSettingError: They are of another capture.
        """
        refuse_another_capture(opened, cache)
        try:
            return cls(cache, *_grid_of(opened.provenance, law_of_text(cache)))
        except MdboundError as error:
            raise _damaged(opened, error) from error
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise _damaged(opened, error) from error

    def again(self, out: Path, on_progress: Callable[[int, int], None] | None) -> None:
        """Do the run again."""
        run_on_settings(
            self.cache,
            self.grid,
            self.settings,
            out,
            on_progress=(
                None
                if on_progress is None
                else lambda progress: on_progress(progress.done, progress.total)
            ),
        )

    def plain_texts(self, documents: Sequence[str]) -> Iterator[ScoredText]:
        """Texts of some documents at each setting, from `plain_distribution`."""
        wanted = {int(each) for each in documents}
        rules, exact = self.grid.tree_rules(), self.grid.exact_rules
        for setting in self.settings:
            rows = PlainRows(self.cache, setting, rules, exact, max(self.grid.lengths), wanted)
            parts = (rows.of_shard(shard) for shard in self.cache.shards)
            yield from texts_of(self.cache, parts, [setting], rules, exact, wanted)


def _grid_of(
    provenance: Provenance, of_text: Warpers | None
) -> tuple[PathGrid, tuple[PathSetting, ...]]:
    """What was computed, as the metadata say it."""
    first = provenance.settings[0]
    nodes = first.get("nodes", [])
    laws = tuple(dict.fromkeys(str(node["sampling"]) for node in nodes))
    grid = PathGrid(
        lengths=tuple(int(each) for each in first["lengths"]),
        schemes=tuple(str(each) for each in first["schemes"]),
        num_drafts=tuple(dict.fromkeys(int(node["num_drafts"]) for node in nodes)) or (2,),
        sampling=laws or ("with_replacement",),
        last_level=first["last_level"],
        offsets=offsets_from(first["offsets"]) if "offsets" in first else None,
    )
    settings = []
    for values in provenance.settings:
        warpers = Warpers.from_dict(values["warpers"])
        of_other_law = of_text not in (None, warpers)
        settings.append(
            PathSetting(
                str(values["draft"]),
                warpers,
                float(values["draft_temperature"]),
                of_text if of_other_law else None,
            )
        )
    return grid, tuple(settings)
