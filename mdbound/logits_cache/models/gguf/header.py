"""What the header of a `.gguf` file says about its model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdbound.errors import ModelError
from mdbound.logits_cache.models.gguf.one_reading import gguf_reader

_READER_SECTION = "GGUF."
_TOKENS = "tokenizer.ggml.tokens"

#: Sections of a header that describe another network than a language model. Others than these and
#: the architecture's own are about the file and its text, or notes of whoever made it.
_NETWORK_ELSEWHERE = ("adapter.", "clip.", "diffusion.")


@dataclass(frozen=True)
class GgufHeader:
    """A header, without weights.

    Attributes:
        path: the file.
        architecture: `general.architecture`.
        values: the architecture's own keys, without its name in front.
        tensors: names of all tensors.
        tokens: size of the vocabulary.
        special: ids of the tokens that begin and end a text, by `bos` and `eos`.
    """

    path: Path
    architecture: str
    values: Mapping[str, Any]
    tensors: frozenset[str]
    tokens: int
    special: Mapping[str, int]

    @property
    def head_dim(self) -> int:
        """Dimensions of a head where no key says them.

        Raises:
            KeyError: the header does not say the sizes.
        """
        return int(self.values["embedding_length"]) // int(self.values["attention.head_count"])

    def key(self, name: str) -> str:
        """A key of `values` as the file has it."""
        return f"{self.architecture}.{name}"

    def refuse(self, name: str, value: object) -> ModelError:
        """The error for a key whose meaning would be dropped."""
        return ModelError(
            f"{self.path} says {self.key(name)} = {value!r}, which is not applied to "
            f"{self.architecture} models here; give the model's folder with safetensors instead"
        )


def read_header(path: Path) -> GgufHeader:
    """Read a header.

    Raises:
        ModelError: the file holds no whole language model.
        ValueError: it is no such file.
    """
    reader = gguf_reader(path)
    values = {
        name: field.contents()
        for name, field in reader.fields.items()
        if not name.startswith((_READER_SECTION, "tokenizer."))
    }
    _check_whole_model(path, values)
    architecture = str(values["general.architecture"])
    section = f"{architecture}."
    return GgufHeader(
        path=path,
        architecture=architecture,
        values={k.removeprefix(section): v for k, v in values.items() if k.startswith(section)},
        tensors=frozenset(item.name for item in reader.tensors),
        tokens=len(reader.fields[_TOKENS].data) if _TOKENS in reader.fields else 0,
        special=_special_tokens(reader),
    )


def _special_tokens(reader: Any) -> dict[str, int]:
    names = {role: f"tokenizer.ggml.{role}_token_id" for role in ("bos", "eos")}
    return {
        role: int(reader.fields[name].contents())
        for role, name in names.items()
        if name in reader.fields
    }


def _check_whole_model(path: Path, values: Mapping[str, Any]) -> None:
    kind = values.get("general.type", "model")
    elsewhere = [key for key in values if key.startswith(_NETWORK_ELSEWHERE)]
    if kind != "model" or elsewhere:
        what = f"general.type = {kind!r}" if kind != "model" else elsewhere[0]
        raise ModelError(f"{path} is no language model ({what}); give the file of the model itself")
    if values.get("split.count", 1) > 1:
        raise ModelError(
            f"{path} is one of {values['split.count']} files of a split model; join them with "
            "llama-gguf-split, which comes with llama.cpp"
        )
    if "general.architecture" not in values:
        raise ModelError(f"{path} does not say its general.architecture; convert the model again")
