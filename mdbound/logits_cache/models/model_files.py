"""Where a model's files are: hub id, local folder, `.gguf` file, or the pair that ships here."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mdbound.errors import ModelError
from mdbound.logits_cache.models.weight_files import (
    check_listed_weights,
    check_weight_files,
    weight_files,
)

TINY_PREFIX = "tiny:"

#: Seconds to find out whether the hub knows a model: shorter refuses on slow lines, longer keeps
#: who has mistyped a folder waiting.
HUB_TIMEOUT = 15.0

#: Weights are sampled at both ends: hashing 100 GB to notice a changed file would cost minutes per
#: capture, and a change that keeps size and ends is not seen.
SAMPLED_BYTES = 2**20

_FINGERPRINTED = (".json", ".safetensors", ".bin", ".model", ".txt", ".jinja", ".gguf")

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?", re.ASCII)


@dataclass(frozen=True)
class ModelFiles:
    """A model that was found, not yet loaded.

    Attributes:
        source: what was asked for.
        kind: `hub`, `folder`, `gguf` or `tiny`.
        location: folder of the files.
        revision: hub commit, or a fingerprint of the files.
        gguf: the `.gguf` file; None for a folder with safetensors.
        trust_remote_code: whether code in the folder may run.
    """

    source: str
    kind: str
    location: str
    revision: str
    gguf: Path | None = None
    trust_remote_code: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """Arguments that every `from_pretrained` of transformers takes with `location`.

        `trust_remote_code` is said in all cases: left out, transformers asks on the terminal, and
        whatever stands on standard input answers.
        """
        options: dict[str, Any] = {"trust_remote_code": self.trust_remote_code}
        return options if self.gguf is None else {**options, "gguf_file": self.gguf.name}

    @property
    def short_name(self) -> str:
        """A name for tables and folders: the last part of the source, cleaned."""
        stem = self.source.split("@")[0] if self.kind == "hub" else self.source
        stem = stem.removesuffix(".gguf").rstrip("/")
        if self.kind in {"folder", "gguf"}:
            stem = Path(self.location).name if self.kind == "folder" else Path(stem).name
        elif self.kind == "hub":
            stem = stem.rsplit("/", 1)[-1]
        return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "draft"


def find_model(source: str, *, trust_remote_code: bool = False) -> ModelFiles:
    """Find a model's files, without reading its weights.

    Args:
        source: `tiny:target`, `tiny:draft`, a local folder, a `.gguf` file, or a hub id
            (`owner/name`, optionally `@revision`).
        trust_remote_code: whether code that lies beside the weights may run.

    Raises:
        ModelError: nothing of the sort is there, the hub cannot be reached, or the weights are
            pickles.
    """
    found = _found(source)
    if found.gguf is not None:
        return found  # a file that holds no code
    check_weight_files(source, Path(found.location))
    if not trust_remote_code or found.kind == "tiny":
        return found
    if found.kind == "folder":
        # The code decides what is computed as much as the weights do.
        revision = _fingerprint(Path(found.location), (*_FINGERPRINTED, ".py"))
        found = replace(found, revision=revision)
    return replace(found, trust_remote_code=True)


def _found(source: str) -> ModelFiles:
    path = Path(source).expanduser()
    if source.startswith(TINY_PREFIX):
        return _tiny(source)
    if path.is_dir():
        return _folder(source, path)
    if source.endswith(".gguf"):
        return _gguf(source, path)
    if not _HUB_ID.fullmatch(source) or source.startswith("."):
        raise ModelError(
            f"no model folder {source!r}; give a folder, a .gguf file, a hub id such as "
            "owner/name, or tiny:target"
        )
    return _hub(source)


def _tiny(source: str) -> ModelFiles:
    role = source.removeprefix(TINY_PREFIX)
    if role not in {"target", "draft"}:
        raise ModelError(f"unknown model {source!r}; there are tiny:target and tiny:draft")
    from mdbound.logits_cache.tiny import tiny_model_path

    path = tiny_model_path("target" if role == "target" else "draft")
    return ModelFiles(source, "tiny", str(path), _fingerprint(path))


def _folder(source: str, path: Path) -> ModelFiles:
    if not (path / "config.json").is_file():
        raise ModelError(
            f"{path} holds no config.json, so it is no model folder; "
            "give the folder that save_pretrained wrote, or a .gguf file itself"
        )
    return ModelFiles(source, "folder", str(path.resolve()), _fingerprint(path))


def _gguf(source: str, path: Path) -> ModelFiles:
    if not path.is_file():
        raise ModelError(f"no model file {path}; check the path")
    path = path.resolve()
    return ModelFiles(source, "gguf", str(path.parent), _fingerprint(path), gguf=path)


def _hub(source: str) -> ModelFiles:
    name, _, revision = source.partition("@")
    # Everything is fetched here, so that transformers later finds a folder and asks no network.
    folder = _downloaded(name, revision) or _download(name, revision)
    return ModelFiles(source, "hub", str(folder), folder.name)


def _downloaded(name: str, revision: str) -> Path | None:
    """Folder of a model that was downloaded before, whole; None if it was not."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json", revision=revision or None)
    folder = Path(found).parent if isinstance(found, str) else None
    return folder if folder is not None and _has_weights(folder) else None


def _has_weights(folder: Path) -> bool:
    names = weight_files(folder)
    return bool(names) and all((folder / name).is_file() for name in names)


def _download(name: str, revision: str) -> Path:
    """Fetch a model from the hub; its folder there is named after the commit."""
    from huggingface_hub import HfApi, snapshot_download

    try:
        # One request with a time limit: the downloader itself would retry for half a minute.
        info = HfApi().model_info(name, revision=revision or None, timeout=HUB_TIMEOUT)
        check_listed_weights(name, [file.rfilename for file in info.siblings or ()])
        patterns = ["*.json", "*.txt", "*.model", "*.jinja", "*.safetensors", "*.py"]
        return Path(snapshot_download(name, revision=info.sha, allow_patterns=patterns))
    except ModelError:
        raise
    except Exception as error:  # the client raises its own, its transport's and OS errors
        reason = " ".join(str(error).split())[:160]
        raise ModelError(
            f"model {name!r} is no local folder or file, and the hub did not give it ({reason}); "
            "check the name, or download it and give its folder"
        ) from error


def _fingerprint(path: Path, suffixes: tuple[str, ...] = _FINGERPRINTED) -> str:
    """SHA-256 over names, sizes and both ends of a model's files."""
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.suffix in suffixes)
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        digest.update(f"{file.name}\0{size}\0".encode())
        with file.open("rb") as stream:
            digest.update(stream.read(SAMPLED_BYTES))
            stream.seek(max(0, size - SAMPLED_BYTES))
            digest.update(stream.read(SAMPLED_BYTES))
    return digest.hexdigest()


def cannot_load(files: ModelFiles, error: Exception) -> ModelError:
    """The one-line error for a model whose configuration or weights cannot be read."""
    if "trust_remote_code" in str(error):
        return needs_code(files)
    reason = " ".join(str(error).split())[:200]
    return ModelError(
        f"model {files.source!r} cannot be loaded ({type(error).__name__}: {reason}); "
        "it must be a causal language model that transformers knows"
    )


def needs_code(files: ModelFiles) -> ModelError:
    """The error for a model that is made by code in its own folder."""
    return ModelError(
        f"model {files.source!r} needs code that lies in its folder, and nothing of it was run; "
        "read it, and give `trust_remote_code` if you trust it"
    )
