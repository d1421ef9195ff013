"""Tokenizers: loading them, and refusing models that do not share one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from mdbound.errors import ModelError
from mdbound.logits_cache.models.model_files import ModelFiles, needs_code
from mdbound.logits_cache.models.quiet_transformers import quiet_loading


@dataclass(frozen=True)
class LoadedTokenizer:
    """A tokenizer and the vocabulary it gives to logits.

    Attributes:
        source: the model it came with.
        encode: the transformers tokenizer.
        tokens: text of each token id; None where ids have a gap.
        sha256: fingerprint of the vocabulary and the special tokens.
    """

    source: str
    encode: Any
    tokens: tuple[str | None, ...]
    sha256: str

    @property
    def vocab_size(self) -> int:
        """One more than the largest token id, V."""
        return len(self.tokens)

    def token(self, index: int) -> str | None:
        """Text of a token id, None where there is none."""
        return self.tokens[index] if index < self.vocab_size else None

    @property
    def has_chat_template(self) -> bool:
        """Whether prompts can be put into the model's chat format."""
        return bool(getattr(self.encode, "chat_template", None))


def load_tokenizer(files: ModelFiles) -> LoadedTokenizer:
    """Load the tokenizer of a model.

    Raises:
        ModelError: it is missing or cannot be read.
    """
    with quiet_loading(files) as transformers:
        try:
            encode = transformers.AutoTokenizer.from_pretrained(files.location, **files.options)
        except Exception as error:  # transformers raises whatever its readers raise
            if "trust_remote_code" in str(error):
                raise needs_code(files) from error
            reason = " ".join(str(error).split())[:160]
            raise ModelError(
                f"no tokenizer can be loaded for {files.source!r} ({reason}); "
                "put its tokenizer files beside the model"
            ) from error
    vocabulary: dict[str, int] = encode.get_vocab()
    tokens: list[str | None] = [None] * (max(vocabulary.values(), default=-1) + 1)
    for token, index in vocabulary.items():
        tokens[index] = token
    special = {name: str(token) for name, token in encode.special_tokens_map.items()}
    canonical = json.dumps([sorted(vocabulary.items()), sorted(special.items())])
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return LoadedTokenizer(files.source, encode, tuple(tokens), digest)


def check_same_vocabulary(target: LoadedTokenizer, draft: LoadedTokenizer, count: int) -> None:
    """Refuse a draft whose token ids do not mean what the target's mean.

    Special roles (padding, end of text) may differ: they do not touch the distributions.

    Args:
        target: the target's tokenizer.
        draft: the draft's.
        count: ids that are compared, from 0 on: those that both models have logits for.

    Raises:
        ModelError: naming the first token that differs.
    """
    for index in range(count):
        ours, theirs = target.token(index), draft.token(index)
        if ours != theirs:
            remedy = "give a draft that shares the target's tokenizer"
            if index >= min(target.vocab_size, draft.vocab_size):
                remedy += ", or `align_vocabulary` prefix: the tokens that one lacks get no mass"
            raise ModelError(
                f"different tokenizers: token {index} is {_shown(ours)} for {target.source!r} and "
                f"{_shown(theirs)} for {draft.source!r}; {remedy}"
            )


def _shown(token: str | None) -> str:
    return "missing" if token is None else repr(token)
