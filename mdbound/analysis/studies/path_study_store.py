"""What a study of tokens per call has computed so far, in pieces, and what is missing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from mdbound.analysis.paths.path_results import (
    LAW_COLUMNS,
    PATHS_SCHEMA,
    RULE_COLUMNS,
    open_paths,
    write_paths,
)
from mdbound.analysis.paths.path_setting import PathGrid, PathSetting
from mdbound.analysis.paths.run_paths import recorded_setting
from mdbound.analysis.solving.results import Provenance, Results
from mdbound.analysis.studies.study_store import united


@dataclass(frozen=True)
class PathStudyStore:
    """Files of `mdbound paths`, each of some settings.

    A setting is whole in one of them, with every rule and draft length that is wanted, or missing:
    what takes time is to read the logits, which more of both does not make longer.

    Attributes:
        folder: Where they are.
        version: mdbound version whose results count.
        capture_identity: Capture whose results count.
        grid: Rules and draft lengths wanted.
    """

    folder: Path
    version: str
    capture_identity: str
    grid: PathGrid

    def missing(self, settings: Sequence[PathSetting]) -> tuple[PathSetting, ...]:
        """Settings that no piece has: one pass over the logits is for all of them."""
        return tuple(one for one in settings if self._piece_of(one, self._pieces()) is None)

    def path_for(self, settings: Sequence[PathSetting]) -> Path:
        """File of a piece: the same work gets the same name, so that it can be resumed."""
        recorded = [recorded_setting(one, self.grid) for one in settings]
        content = json.dumps([self.version, self.capture_identity, recorded])
        return self.folder / f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.parquet"

    def merge(self, settings: Sequence[PathSetting], out: Path, provenance: Provenance) -> None:
        """Write all rows of the settings as one file, whatever the order they were computed in.

        Args:
            settings: Settings that are all there.
            out: The results file: by setting, text, rule and draft length.
            provenance: Goes into its metadata, with commits and versions of the pieces.

        Raises:
            OutputError: The file cannot be written.
        """
        pieces = self._pieces()
        found = [(one, piece) for one in settings if (piece := self._piece_of(one, pieces))]
        environments = {piece.path: piece.provenance.environment for _, piece in found}
        merged = replace(provenance, environment=united(list(environments.values())))
        write_paths(self._frames(found), out, merged)

    def _frames(self, found: Sequence[tuple[PathSetting, Results]]) -> Iterator[pl.DataFrame]:
        """Rows of one setting after the other, so that one is in memory at a time."""
        rules: list[dict[str, Any]] = [
            {"scheme": name, "sampling": None, "num_drafts": None} for name in self.grid.path_rules
        ]
        rules += [rule.columns() for rule in self.grid.tree_rules()]
        wanted = pl.DataFrame(
            [{**rule, "draft_length": length} for rule in rules for length in self.grid.lengths],
            schema={name: PATHS_SCHEMA[name] for name in (*RULE_COLUMNS, "draft_length")},
        ).with_row_index("rank")
        for setting, piece in found:
            laws = setting.columns()
            rows = piece.frame.filter(
                pl.col(name).eq_missing(pl.lit(laws[name], PATHS_SCHEMA[name]))
                for name in LAW_COLUMNS
            ).collect()
            texts = rows.select("doc_id", "turn").unique(maintain_order=True)
            yield (
                rows.join(texts.with_row_index("place"), on=["doc_id", "turn"])
                .join(wanted, on=[*RULE_COLUMNS, "draft_length"], nulls_equal=True)
                .sort("place", "rank")
                .select(*PATHS_SCHEMA)
            )

    def _piece_of(self, setting: PathSetting, pieces: Sequence[Results]) -> Results | None:
        """The first piece that has the setting with all rules and lengths."""
        wanted = recorded_setting(setting, self.grid)
        return next(
            (
                piece
                for piece in pieces
                if any(_covers(one, wanted) for one in piece.provenance.settings)
            ),
            None,
        )

    def _pieces(self) -> list[Results]:
        opened = (open_paths(path) for path in sorted(self.folder.glob("*.parquet")))
        return [
            piece
            for piece in opened
            if piece.provenance.version == self.version
            and piece.provenance.capture_identity == self.capture_identity
        ]


#: What a recorded setting may have more of than is wanted.
_LISTS = ("schemes", "lengths", "nodes")


def _covers(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether rows of one recorded setting hold those of another.

    Example:
        >>> more, less = ({"lengths": each, "schemes": [], "nodes": []} for each in ([1, 2], [2]))
        >>> _covers(more, less), _covers(less, more)
        (True, False)
    """
    same = all(found.get(name) == value for name, value in wanted.items() if name not in _LISTS)
    return same and all(one in found[name] for name in _LISTS for one in wanted[name])
