"""What a run has bounded so far: a draft and a law in a file of its own, until all are there."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mdbound.analysis.path_bound.parameters_file import LawCoefficients, law_as_dict, law_from
from mdbound.logits_cache.store.atomic_files import replacing
from mdbound.trees import Paths


@dataclass(frozen=True)
class BoundPart:
    """Rows, coefficients and choices of one draft and law.

    Attributes:
        file: Of the rows; the rest lies beside it.
        coefficients: What was fitted.
        chosen: The bound that was least on each half.
    """

    file: Path
    coefficients: LawCoefficients
    chosen: tuple[str, str]

    @staticmethod
    def place(folder: Path, draft: str, law: Paths) -> Path:
        """The file of a draft and law; names of drafts may hold what file names may not."""
        name = hashlib.sha256(draft.encode()).hexdigest()[:16]
        return folder / f"{name}-{law.num_paths}-{law.length}.parquet"

    @classmethod
    def read(cls, file: Path) -> BoundPart | None:
        """The part that an earlier run finished; None where there is none that can be read."""
        if not file.exists():
            return None
        try:
            pl.scan_parquet(file, glob=False).select(pl.len()).collect()
            raw = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
            first, second = raw["chosen"]
            return cls(file, law_from(raw["coefficients"]), (str(first), str(second)))
        except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
            return None

    def write(self, rows: pl.DataFrame) -> None:
        """Write the part; the rows last, since their file says that it is whole.

        Raises:
            OutputError: It cannot be written.
        """
        raw = {"chosen": list(self.chosen), "coefficients": law_as_dict(self.coefficients)}
        with replacing(self.file.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(raw), encoding="utf-8")
        with replacing(self.file) as temporary:
            rows.write_parquet(temporary)

    def rows(self) -> pl.DataFrame:
        """The rows of the bounds, as `mdbound trees` has them."""
        return pl.read_parquet(self.file, glob=False)
