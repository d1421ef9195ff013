"""The results file: its columns, the provenance in its metadata, and safe writing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from mdbound.errors import CacheError
from mdbound.logits_cache.store.atomic_files import replacing
from mdbound.logits_cache.store.format_version import Format

if TYPE_CHECKING:
    import pyarrow as pa

#: Version 1 had bounds alone: no `accept`, `standard_error`, `vocabulary_size` and `vocabulary_of`,
#: and settings without schemes. Version 2 recorded temperature, top-k and top-p of a setting one
#: beside the other, not as `warpers`. Version 3 had no `min_p`.
RESULTS_FORMAT = Format("results", newest=4, oldest=2, remake="solve the capture again")

#: `scheme` of the rows that hold the optimum over all lossless verification rules.
BOUND = "bound"

#: Schemes that older files call by another name: it stood for two schemes in the literature.
RENAMED_SCHEMES: Mapping[str, str] = {"naive": "nss"}

#: Columns that together name a setting.
SETTING_COLUMNS = (
    "scheme",
    "sampling",
    "draft",
    "temperature",
    "draft_temperatures",
    "top_k",
    "top_p",
    "min_p",
    "vocabulary_size",
    "vocabulary_of",
    "num_drafts",
)

#: Every column, in file order. Probabilities unless stated; null where a column does not apply.
RESULT_SCHEMA: Mapping[str, type[pl.DataType]] = {
    "doc_id": pl.Int64,
    "task": pl.String,
    "position": pl.Int64,  # index of the position within its document
    "scheme": pl.String,  # "bound", or the name of a verification scheme
    "sampling": pl.String,  # draft law
    "draft": pl.String,  # draft model, or several joined by "|"
    "temperature": pl.Float64,  # of the target
    "draft_temperature": pl.Float64,  # null where the drafts differ in it
    "draft_temperatures": pl.String,  # joined by "|" where the drafts differ
    "top_k": pl.Int64,
    "top_p": pl.Float64,
    "min_p": pl.Float64,
    "vocabulary_size": pl.Int64,  # tokens that all models are restricted to; null for all
    "vocabulary_of": pl.String,  # whose most likely tokens those are: "target" or "draft"
    "num_drafts": pl.Int64,  # n
    # P(output is one of the drafts): its optimum in bound rows, the scheme's rate in others. Null
    # where the solver met no error bound.
    "acceptance": pl.Float64,
    "accept": pl.Float64,  # scheme rows: P(its accept step fires), at most `acceptance`
    "standard_error": pl.Float64,  # scheme rows: of an estimated rate; 0 where it is exact
    # The rest is null in scheme rows, but for target_entropy.
    "subset_size": pl.Int64,  # tokens in the optimal set H*
    "target_mass": pl.Float64,  # p(H*)
    "draft_mass": pl.Float64,  # q(H*); mean over the drafts where they differ
    "containment": pl.Float64,  # F(H*)
    "error_bound": pl.Float64,  # absolute, on acceptance
    "two_draft_acceptance": pl.Float64,  # closed form, n = 2 with replacement: the same optimum
    "equals_one_margin": pl.Float64,  # min over H of p(H) - q(H)^2, same rows
    "equals_one": pl.Boolean,  # margin 0 up to rounding: acceptance is exactly 1
    "target_entropy": pl.Float64,  # nats, of the target at these settings
}


#: Columns that versions which are still read lack.
_LATER = ("min_p",)

#: Rows that are in memory at a time when parts are joined: smaller groups spare memory, larger ones
#: compress better and are read faster.
_ROW_GROUP_ROWS = 131_072


@dataclass(frozen=True)
class Provenance:
    """Where results come from, as stored in the file's metadata.

    Attributes:
        version: mdbound version that solved.
        capture_identity: SHA-256 of the capture's manifest.
        capture: Readable summary of the capture: models, text, mode, seed.
        settings: The solve settings, as written by `SolveSetting.as_dict`.
        command: Command line that solved, without machine paths of the program itself.
        selection: Tasks and documents solved, as written by `Selection.as_dict`; empty for all.
        environment: Commit and package versions of the solving run.
    """

    version: str
    capture_identity: str
    capture: dict[str, Any]
    settings: list[dict[str, Any]]
    command: str = ""
    selection: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def to_metadata(self) -> dict[str, str]:
        """Return Parquet key-value metadata.

        Example:
            >>> Provenance("0.1.0", "ab", {}, []).to_metadata()["mdbound_version"]
            '0.1.0'
        """
        return {
            "mdbound_format": str(RESULTS_FORMAT.newest),
            "mdbound_version": self.version,
            "capture_identity": self.capture_identity,
            "capture": json.dumps(self.capture, sort_keys=True),
            "settings": json.dumps(self.settings),
            "command": self.command,
            "selection": json.dumps(self.selection),
            "environment": json.dumps(self.environment),
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Provenance:
        """Read back what `to_metadata` wrote.

        Raises:
            KeyError: A key is missing, so mdbound did not write the metadata.
        """
        return cls(
            version=metadata["mdbound_version"],
            capture_identity=metadata["capture_identity"],
            capture=json.loads(metadata["capture"]),
            settings=[_with_warpers(each) for each in json.loads(metadata["settings"])],
            command=metadata["command"],
            selection=json.loads(metadata.get("selection", "{}")),
            environment=json.loads(metadata.get("environment", "{}")),
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Provenance:
        """Read back what `dataclasses.asdict` made, by this version or an older one.

        Raises:
            KeyError, TypeError: Something is missing, or too much.
        """
        return cls(**{**values, "settings": [_with_warpers(each) for each in values["settings"]]})

    def first_difference(self, other: Provenance) -> str | None:
        """Say what differs first between two runs, or None when one can resume the other.

        Command and environment are not compared: the same work may be asked for in other words,
        and go on with a newer package.
        """
        if self.version != other.version:
            return f"mdbound version was {self.version}, now {other.version}"
        if self.capture_identity != other.capture_identity:
            return self._capture_difference(other)
        if self.selection != other.selection:
            return f"selection was {self.selection or 'all'}, now {other.selection or 'all'}"
        return self._setting_difference(other)

    def _setting_difference(self, other: Provenance) -> str | None:
        for index, (old, new) in enumerate(zip(self.settings, other.settings, strict=False)):
            was, now = _flat(old), _flat(new)
            for key in {**was, **now}:
                if was.get(key) != now.get(key):
                    return f"setting {index + 1}: {key} was {was.get(key)}, now {now.get(key)}"
        if len(self.settings) != len(other.settings):
            return f"number of settings was {len(self.settings)}, now {len(other.settings)}"
        return None

    def _capture_difference(self, other: Provenance) -> str:
        for key, ours in self.capture.items():
            if ours != other.capture.get(key):
                return f"{key} of the capture was {ours}, now {other.capture.get(key)}"
        return f"capture was {self.capture_identity[:12]}, now {other.capture_identity[:12]}"


def _with_warpers(setting: dict[str, Any]) -> dict[str, Any]:
    """A recorded setting as the newest version records it: what it lacks was not applied."""
    kept = dict(setting)
    if "warpers" in kept:
        warpers = kept.pop("warpers")
    else:
        warpers = {name: kept.pop(name) for name in ("temperature", "top_k", "top_p")}
    return {"warpers": {**warpers, "min_p": warpers.get("min_p")}} | kept


def _flat(setting: dict[str, Any]) -> dict[str, Any]:
    """A recorded setting with its warpers beside the rest, to be compared one by one."""
    return {**setting["warpers"], **{k: v for k, v in setting.items() if k != "warpers"}}


@dataclass(frozen=True)
class Results:
    """An opened results file: nothing is read before `frame` is collected."""

    path: Path
    provenance: Provenance
    frame: pl.LazyFrame

    def height(self) -> int:
        """Number of rows, counted in the file."""
        return int(self.frame.select(pl.len()).collect().item())


def open_results(path: Path | str) -> Results:
    """Open a file written by `mdbound solve`; schemes that were renamed have their new names.

    Args:
        path: The Parquet file.

    Returns:
        Its provenance and a lazy frame over its rows.

    Raises:
        CacheError: The file is missing, damaged, of another format, or not mdbound's.
    """
    path = Path(path)
    metadata = read_metadata(
        path, "no such results file; make one with `solve_cache`", "solve the capture again"
    )
    remedy = "give a file written by `solve_cache`"
    if "mdbound_format" not in metadata:
        raise CacheError(f"{path} is Parquet, but not an mdbound results file; {remedy}")
    RESULTS_FORMAT.checked(metadata["mdbound_format"], path)
    try:
        provenance = Provenance.from_metadata(metadata)
    except (KeyError, ValueError) as error:
        raise CacheError(f"{path}: damaged metadata ({error}); solve the capture again") from error
    frame = _with_all_columns(pl.scan_parquet(path, glob=False))
    _refuse_impossible_rates(frame, path)
    return _with_present_names(Results(path, provenance, frame))


def _with_present_names(results: Results) -> Results:
    """The same results, in rows and settings under the names that schemes have now."""
    settings = results.provenance.settings
    if not any(setting.get("scheme") in RENAMED_SCHEMES for setting in settings):
        return results
    renamed = [
        setting | {"scheme": RENAMED_SCHEMES.get(setting["scheme"], setting["scheme"])}
        for setting in settings
    ]
    return replace(
        results,
        provenance=replace(results.provenance, settings=renamed),
        frame=results.frame.with_columns(pl.col("scheme").replace(RENAMED_SCHEMES)),
    )


def _with_all_columns(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Rows with the columns that came with a later version, null as for a setting without them."""
    found = frame.collect_schema().names()
    lacking = [
        pl.lit(None, RESULT_SCHEMA[name]).alias(name) for name in _LATER if name not in found
    ]
    return frame.with_columns(lacking).select(*RESULT_SCHEMA) if lacking else frame


def _refuse_impossible_rates(frame: pl.LazyFrame, path: Path) -> None:
    """Damage that Parquet itself does not notice shows in numbers far from any probability.

    Values that are only a little wrong are for `mdbound verify` to find and to name.
    """
    rate = pl.col("acceptance")
    try:
        low, high = frame.select(rate.min(), rate.max().alias("high")).collect().row(0)
    except pl.exceptions.PolarsError as error:
        raise CacheError(f"{path} is damaged ({error}); solve the capture again") from error
    if low is not None and not (low >= -0.5 and high <= 1.5):
        raise CacheError(
            f"{path} is damaged: acceptance runs from {low} to {high}; solve the capture again"
        )


def read_metadata(path: Path, missing: str, remedy: str) -> dict[str, str]:
    """Key-value metadata of a Parquet file.

    Args:
        path: The file.
        missing: What to say where there is none.
        remedy: What to do about one that cannot be read.

    Raises:
        CacheError: It is missing, or no Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise CacheError(f"{path}: {missing}")
    try:
        raw = pq.ParquetFile(path).metadata.metadata or {}
    except (pa.ArrowInvalid, OSError) as error:
        raise CacheError(f"{path} cannot be read as Parquet ({error}); {remedy}") from error
    return {key.decode(): value.decode() for key, value in raw.items()}


def merge_parts(parts: Sequence[Path], out: Path, provenance: Provenance) -> None:
    """Join part files into one results file, streaming, and move it into place in one step.

    Args:
        parts: Part files with the columns of `RESULT_SCHEMA`, in order.
        out: The results file.
        provenance: Goes into its metadata.

    Raises:
        OutputError: The file cannot be written.
    """
    write_results((table for part in parts for table in _tables_of(part)), out, provenance)


def write_results(tables: Iterable[pa.Table], out: Path, provenance: Provenance) -> None:
    """Write tables one after the other as a results file, moved into place in one step.

    Args:
        tables: Arrow tables with the columns of `RESULT_SCHEMA`.
        out: The results file.
        provenance: Goes into its metadata.

    Raises:
        OutputError: The file cannot be written.
    """
    import pyarrow.parquet as pq

    schema = pl.DataFrame(schema=RESULT_SCHEMA).to_arrow().schema
    schema = schema.with_metadata(provenance.to_metadata())
    with (
        replacing(out) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for table in tables:
            writer.write_table(table.replace_schema_metadata(schema.metadata))


def _tables_of(part: Path) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(part) as file:
        for batch in file.iter_batches(_ROW_GROUP_ROWS):
            table = pa.Table.from_batches([batch])
            # A run that an older version began has parts without them.
            for name in _LATER:
                if name not in table.column_names:
                    place = list(RESULT_SCHEMA).index(name)
                    table = table.add_column(place, name, pa.nulls(len(table), pa.float64()))
            yield table
