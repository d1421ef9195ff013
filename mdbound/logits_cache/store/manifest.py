"""What a logits cache says about itself: `manifest.json`, read, checked and written atomically."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache.store.atomic_files import write_text_atomically
from mdbound.logits_cache.store.format_version import Format
from mdbound.logits_cache.store.paths_record import PathsRecord, paths_record_from
from mdbound.logits_cache.store.probe_record import ProbeRecord, probe_record_from

#: Version 1 recorded the temperature of answers alone, as `generation.temperature`. Version 2 said
#: nothing of what was found out about models when they were loaded, nor of the edges of sequences,
#: of conversations, and of vocabularies that differ. Version 3 had no drafted paths,
#: version 4 no trees but those of paths, version 5 one tree at a context, of a topology.
MANIFEST_FORMAT = Format("cache", newest=6, oldest=1, remake="capture again")

#: Part of what the identity of a cache is made of, and no more than that: raised when the same
#: settings come to mean other logits. Layouts that say the same differently leave it.
_IDENTITY_VERSION = 1

MANIFEST_NAME = "manifest.json"
TARGET = "target"


@dataclass(frozen=True)
class AlignmentRecord:
    """How the vocabulary of a model that lacks tokens of the cache was put beside the others.

    Attributes:
        rule: `prefix`, the model has the first tokens; or `map`, those of a file.
        tokens: how many it has. It has no probability on the others: their logits are minus
            infinity.
        sha256: fingerprint of the file's tokens; None where there is none.
    """

    rule: str
    tokens: int
    sha256: str | None = None


@dataclass(frozen=True)
class ModelRecord:
    """One model of a capture.

    Attributes:
        name: `target`, or the draft's name, unique in the cache.
        source: the model as it was asked for (hub id, folder, file, `tiny:target`).
        kind: `hub`, `folder`, `gguf`, `tiny`, `skip-layers` or `arrays`.
        revision: hub commit, or a fingerprint of the files.
        dtype: the type the model computed in; logits are stored as float32 whatever it is.
        logits_width: columns the model puts out, before they are cut to the cache's `vocab_size`.
        skipped_layers: decoder layers left out (self-speculative drafts), counted from 0.
        trust_remote_code: whether code of the model's own folder could run.
        unused_weights: tensors of its files that the model has no place for.
        probe: what a probe found out when it was loaded; None if it was not probed, as arrays and
            the models of older caches. Like `unused_weights` it is a finding and no setting:
            records that differ in it alone are equal.
        alignment: how it was aligned with the others; None if it has all of the cache's tokens.
    """

    name: str
    source: str
    kind: str
    revision: str
    dtype: str
    logits_width: int
    skipped_layers: tuple[int, ...] = ()
    trust_remote_code: bool = False
    unused_weights: tuple[str, ...] = field(default=(), compare=False)
    probe: ProbeRecord | None = field(default=None, compare=False)
    alignment: AlignmentRecord | None = None

    @property
    def folder(self) -> str:
        """Folder of the model's shards inside the cache."""
        return TARGET if self.name == TARGET else f"draft-{self.name}"

    @property
    def path_nodes_folder(self) -> str:
        """Folder of the paths that the draft drew."""
        return f"nodes-{self.name}"

    @property
    def path_target_folder(self) -> str:
        """Folder of the target's logits along them."""
        return f"path-target-{self.name}"

    @property
    def path_draft_folder(self) -> str:
        """Folder of the draft's own logits along them."""
        return f"path-draft-{self.name}"

    def settings(self) -> dict[str, Any]:
        """What was asked for, without findings; what was not asked for is left out.

        So captures keep their identity when there come to be more settings.
        """
        kept = asdict(self)
        if not self.trust_remote_code:
            del kept["trust_remote_code"]
        if self.alignment is None:
            del kept["alignment"]
        return {name: kept[name] for name in kept if name not in {"unused_weights", "probe"}}


@dataclass(frozen=True)
class TextRecord:
    """The text of a capture: where it came from, how it was selected, and its hash.

    Attributes:
        source: the `--text` arguments, joined by a space.
        sha256: hash of the selected documents (id, task, text), so an edited file is noticed.
        documents: number of documents selected.
        field: the JSONL field asked for, or None when it was detected.
        tasks: tasks asked for; empty means all.
        limit: most documents taken, or None.
        limit_per_task: most documents taken per task, or None.
        system: system prompt put before conversations without one, or None.
        turns: most turns of the user taken of each conversation, or None for all.
        history: what became of the answers that conversations hold (`given` or `target`); None
            where there are no conversations.
        prompts: prompts to answer, first and later ones, if all have room in the context and in the
            limit of positions; None in other modes, and where it was not recorded.
    """

    source: str
    sha256: str
    documents: int
    field: str | None = None
    tasks: tuple[str, ...] = ()
    limit: int | None = None
    limit_per_task: int | None = None
    system: str | None = None
    turns: int | None = None
    history: str | None = None
    prompts: int | None = None


@dataclass(frozen=True)
class EdgesRecord:
    """How sequences begin and end, and how often that mattered.

    Attributes:
        beginning: tokens that the tokenizer puts before a text; each text has them once.
        ending: tokens that it puts after a text, which are left out.
        windows: whether later windows of a text begin as its first one does; None where there are
            none, or the first has no beginning.
        doubled: texts and first prompts that brought the beginning themselves, or twice: one was
            left out.
        trailing: texts and first prompts at whose end the tokenizer's ending was left out.
        ended: first prompts that end in an end token themselves: their answers follow it.
    """

    beginning: tuple[str, ...] = ()
    ending: tuple[str, ...] = ()
    windows: bool | None = None
    doubled: int = 0
    trailing: int = 0
    ended: int = 0

    def settings(self) -> dict[str, object]:
        """What decides the content of a capture: nothing where a tokenizer adds no tokens."""
        settings: dict[str, object] = {}
        if self.beginning:
            settings["beginning"] = self.beginning
        if self.ending:
            settings["ending"] = self.ending
        if self.windows is not None:
            settings["windows"] = self.windows
        return settings


@dataclass(frozen=True)
class GenerationRecord:
    """How positions were made from the text.

    Attributes:
        mode: `score` (every position of the text), `generate` (the target's answers) or `arrays`.
        seed: seed of the answers' sampling.
        max_context: most tokens a model saw at once.
        max_positions: most positions per document, or None.
        warpers: what the target's distribution was warped by before answers were sampled, as
            `mdbound.bounds.Warpers.as_dict` records it; None in the other modes. The record alone,
            so that reading a cache loads no mathematics.
        max_new_tokens: longest answer in tokens; None in the other modes.
        chat_template: whether prompts went through the tokenizer's chat template.
        edges: how sequences begin and end; None where that is not known.
        paths: which paths drafts drew at contexts of the text; None if they drew none.
    """

    mode: str
    seed: int
    max_context: int | None = None
    max_positions: int | None = None
    warpers: dict[str, Any] | None = None
    max_new_tokens: int | None = None
    chat_template: bool = False
    edges: EdgesRecord | None = None
    paths: PathsRecord | None = None


@dataclass(frozen=True)
class MassRecord:
    """Mean probability, at temperature 1, on tokens that the other side lacks.

    Attributes:
        draft: name of the draft.
        of_target: what the target has on tokens that the draft lacks; None if it lacks none.
        of_draft: what the draft has on tokens that the target lacks, likewise.
    """

    draft: str
    of_target: float | None
    of_draft: float | None


@dataclass(frozen=True)
class FileRecord:
    """Size and SHA-256 of one shard file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class ShardInfo:
    """One finished shard: the same rows, in the same order, in a file per model.

    Attributes:
        index: number of the shard, the `00000` of `part-00000.parquet`.
        rows: positions in the shard.
        documents: entries of the shard's `documents` file; 0 when there is none.
        files: folder (`positions`, `documents`, `target`, `draft-NAME`, and those of paths) to its
            file's record.
        passages: texts' windows or first prompts that the shard has done; None where that is the
            number of documents.
        target_mass_outside: by draft, mean probability over the shard's rows, at temperature 1,
            that the target has on tokens that the draft lacks; none for drafts that lack none.
        draft_mass_outside: by draft, what it has on tokens that the target lacks, likewise.
    """

    index: int
    rows: int
    documents: int
    files: dict[str, FileRecord]
    passages: int | None = None
    target_mass_outside: dict[str, float] = field(default_factory=dict)
    draft_mass_outside: dict[str, float] = field(default_factory=dict)

    @property
    def planned(self) -> int:
        """Windows and first prompts of the plan that are done with it."""
        return self.documents if self.passages is None else self.passages

    def with_mass(
        self, target_mass_outside: dict[str, float], draft_mass_outside: dict[str, float]
    ) -> ShardInfo:
        """A copy that says the same of further drafts."""
        return replace(
            self,
            target_mass_outside={**self.target_mass_outside, **target_mass_outside},
            draft_mass_outside={**self.draft_mass_outside, **draft_mass_outside},
        )


@dataclass(frozen=True)
class Manifest:
    """Everything a cache says about itself.

    Attributes:
        vocab_size: stored logits per position, V.
        tokenizer_sha256: fingerprint of the tokenizer shared by all models.
        target: the target model.
        drafts: draft models, in the order of the command line.
        text: the text.
        generation: how positions were made from the text.
        complete: False while a capture has shards still to write.
        versions: versions of the packages that made the cache.
        shards: finished shards.
        format_version: version of this layout.
    """

    vocab_size: int
    tokenizer_sha256: str
    target: ModelRecord
    drafts: tuple[ModelRecord, ...]
    text: TextRecord
    generation: GenerationRecord
    complete: bool = False
    versions: dict[str, str] = field(default_factory=dict)
    shards: tuple[ShardInfo, ...] = ()
    format_version: int = MANIFEST_FORMAT.newest

    def settings(self) -> dict[str, object]:
        """The settings that decide the cache's content, flat: `generation.seed` and so on.

        Package versions, findings of probes, shards and progress are left out, so that a capture
        keeps its settings while it grows. Warpers, and what later versions came to record, are
        listed only if they do something, so that a capture keeps its identity when there come to
        be more of them.
        """
        nested = {
            "format_version": _IDENTITY_VERSION,
            "target": self.target.settings(),
            "drafts": {record.name: record.settings() for record in self.drafts},
            "text": _text_settings(self.text),
            "generation": _generation_settings(self.generation),
            "vocab_size": self.vocab_size,
            "tokenizer_sha256": self.tokenizer_sha256,
        }
        return _flatten(nested)

    def identity(self) -> str:
        """Stable SHA-256 (hex) of `settings`: what a result made from this cache cites."""
        canonical = json.dumps(self.settings(), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def turns_left_out(self) -> int:
        """Later turns of conversations that were not asked, see `TextRecord.prompts`.

        They had no room in the context, or came after the limit of positions. 0 until all is there.
        """
        if self.text.prompts is None or not self.complete:
            return 0
        return self.text.prompts - sum(shard.documents for shard in self.shards)

    def masses_outside(self) -> tuple[MassRecord, ...]:
        """What each side has on tokens that the other lacks; empty where nothing is lacking."""
        found = [
            MassRecord(
                draft.name,
                _mean(
                    (each.rows, each.target_mass_outside.get(draft.name)) for each in self.shards
                ),
                _mean((each.rows, each.draft_mass_outside.get(draft.name)) for each in self.shards),
            )
            for draft in self.drafts
        ]
        return tuple(each for each in found if (each.of_target, each.of_draft) != (None, None))

    def models(self) -> tuple[ModelRecord, ...]:
        """Target, then the drafts whose shards are all there (a draft may still be arriving)."""
        present = [
            draft
            for draft in self.drafts
            if all(draft.folder in shard.files for shard in self.shards)
        ]
        return (self.target, *present)

    def path_drafts(self) -> tuple[ModelRecord, ...]:
        """Drafts that drew paths in every shard; those that were added later did not."""
        if self.generation.paths is None:
            return ()
        return tuple(
            draft
            for draft in self.models()[1:]
            if all(draft.path_nodes_folder in shard.files for shard in self.shards)
        )

    def with_models(self, loaded: Iterable[ModelRecord]) -> Manifest:
        """A copy in which the records of these models say what was found when they were loaded."""
        found = {record.name: record for record in loaded}
        drafts = tuple(found.get(draft.name, draft) for draft in self.drafts)
        return replace(self, target=found.get(TARGET, self.target), drafts=drafts)

    def with_shard(self, shard: ShardInfo) -> Manifest:
        """A copy with one shard added, or replaced if its index is already there."""
        others = [known for known in self.shards if known.index != shard.index]
        shards = sorted([*others, shard], key=lambda item: item.index)
        return replace(self, shards=tuple(shards))

    def write(self, cache: Path) -> None:
        """Write `manifest.json` into `cache`, all of it or nothing.

        Raises:
            OutputError: the disk is full or the folder cannot be written.
        """
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        write_text_atomically(cache / MANIFEST_NAME, text + "\n")

    @classmethod
    def read(cls, cache: Path) -> Manifest:
        """Read `manifest.json` of `cache`.

        Raises:
            CacheError: it is missing, unreadable, or of another format version.
        """
        path = cache / MANIFEST_NAME
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise CacheError(
                f"no logits cache at {cache}: {MANIFEST_NAME} is missing; "
                "write one with `mdbound capture`"
            ) from error
        except (OSError, ValueError) as error:
            raise CacheError(f"{path} cannot be read ({error}); capture again") from error
        return _manifest_from(raw, path)


def checked_draft_name(name: str) -> str:
    """Return `name` if it can name a draft (a folder, and a column value).

    Raises:
        InvalidSettingError: it is empty, reserved, or has characters other than A-Z a-z 0-9 . _ -
    """
    allowed = name.isascii() and name.replace("-", "").replace(".", "").replace("_", "").isalnum()
    if not allowed or name == TARGET:
        raise InvalidSettingError(
            f"{name!r} cannot name a draft: use letters, digits, '.', '_' and '-', "
            f"and not {TARGET!r}"
        )
    return name


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that decide what a capture holds."""
    versions = {}
    for package in ("mdbound", "torch", "transformers", "tokenizers", "numpy", "pyarrow"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _manifest_from(raw: Any, path: Path) -> Manifest:
    found = raw.get("format_version") if isinstance(raw, dict) else None
    MANIFEST_FORMAT.checked(found, path)
    try:
        return Manifest(
            vocab_size=int(raw["vocab_size"]),
            tokenizer_sha256=str(raw["tokenizer_sha256"]),
            target=_model_from(raw["target"]),
            drafts=tuple(_model_from(draft) for draft in raw["drafts"]),
            text=TextRecord(**{**raw["text"], "tasks": tuple(raw["text"]["tasks"])}),
            generation=_generation_from(raw["generation"]),
            complete=bool(raw["complete"]),
            versions=dict(raw["versions"]),
            shards=tuple(_shard_from(shard) for shard in raw["shards"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CacheError(f"{path} is damaged ({error!r}); capture again") from error


def _model_from(raw: dict[str, Any]) -> ModelRecord:
    aligned = raw.get("alignment")
    read = {
        "skipped_layers": tuple(raw["skipped_layers"]),
        "unused_weights": tuple(raw.get("unused_weights", ())),
        "probe": probe_record_from(raw.get("probe")),
        "alignment": None if aligned is None else AlignmentRecord(**aligned),
    }
    return ModelRecord(**{**raw, **read})


def _mean(shards: Iterable[tuple[int, float | None]]) -> float | None:
    """The mean of all rows, of shards' rows and means; None if no shard says one."""
    known = [(rows, mean) for rows, mean in shards if mean is not None]
    total = sum(rows for rows, _ in known)
    return sum(rows * mean for rows, mean in known) / total if total else None


def _generation_from(raw: dict[str, Any]) -> GenerationRecord:
    values = dict(raw)
    if "warpers" not in values:
        temperature = values.pop("temperature")
        alone = {"temperature": temperature, "top_k": None, "top_p": None, "min_p": None}
        values["warpers"] = None if temperature is None else alone
    if values.get("edges") is not None:
        values["edges"] = _edges_from(values["edges"])
    values["paths"] = paths_record_from(values.get("paths"))
    return GenerationRecord(**values)


def _edges_from(raw: dict[str, Any]) -> EdgesRecord:
    ends = {name: tuple(raw[name]) for name in ("beginning", "ending")}
    return EdgesRecord(**{**raw, **ends})


def _text_settings(record: TextRecord) -> dict[str, object]:
    values = asdict(record)
    del values["prompts"]  # follows from the rest
    for name in ("system", "turns", "history"):
        if values[name] is None:
            del values[name]
    return values


def _generation_settings(record: GenerationRecord) -> dict[str, object]:
    values = asdict(replace(record, edges=None, paths=None))
    del values["edges"]
    del values["paths"]
    if record.paths is not None:
        values["paths"] = record.paths.settings()
    warpers: dict[str, object] = values.pop("warpers") or {}
    applied = {name: value for name, value in warpers.items() if value is not None}
    edges = record.edges.settings() if record.edges is not None else {}
    return {**values, "temperature": None, **applied, **edges}


def _shard_from(raw: dict[str, Any]) -> ShardInfo:
    files = {folder: FileRecord(**record) for folder, record in raw["files"].items()}
    return ShardInfo(**{**raw, "files": files})


def _flatten(nested: dict[str, Any], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in nested.items():
        if isinstance(value, dict):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = list(value) if isinstance(value, tuple) else value
    return flat
