"""What a capture is asked to do, and the checks that need neither text nor models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mdbound.errors import InvalidSettingError, refuse_unknown

MODES = ("score", "generate")

#: Longest answer in tokens unless asked otherwise: what published experiments use. Longer ones add
#: positions of the same document, which narrow intervals less than further documents do.
DEFAULT_NEW_TOKENS = 128

#: Window of score mode in tokens unless asked otherwise. Wider ones give the first tokens of fewer
#: windows too short a context, and cost memory and time by their square.
SCORE_CONTEXT = 1024


@dataclass(frozen=True)
class CaptureSettings:
    """Settings of one capture; the command line's options carry the same names.

    Attributes:
        target: target model (hub id, folder, `.gguf` file, `tiny:target`).
        text: text sources, see `text.load_documents`.
        out: folder of the cache.
        drafts: draft models.
        skip_layers: decoder layers to leave out of the target, one tuple per such draft.
        mode: `score` records every position of the text, `generate` the target's answers.
        field: JSONL field that holds the text; None detects it.
        tasks: tasks to keep; empty keeps all.
        limit: most documents, or None.
        limit_per_task: most documents of each task, or None.
        max_positions: most positions per document, or None.
        max_context: longest context in tokens; None takes 1024 in score mode, and what the
            models were made for in generate mode.
        max_new_tokens: longest answer in tokens; None takes 128. Only in generate mode.
        temperature: sampling temperature of the answers; 0 takes the most likely token, None
            means 1. Only in generate mode.
        chat_template: whether prompts go through the tokenizer's chat template; None means if it
            has one, in generate mode.
        seed: seed of the answers' sampling.
        device: `auto`, `cpu`, `cuda`, `mps`, ...
        dtype: `auto`, `float32`, `bfloat16` or `float16`.
        batch_size: documents per forward pass.
        shard_rows: positions after which a shard is closed; None closes it near 256 MiB of logits.
        trust_remote_code: whether code that lies in a model's folder may run.
    """

    target: str
    text: tuple[str, ...]
    out: Path
    drafts: tuple[str, ...] = ()
    skip_layers: tuple[tuple[int, ...], ...] = ()
    mode: str = "score"
    field: str | None = None
    tasks: tuple[str, ...] = ()
    limit: int | None = None
    limit_per_task: int | None = None
    max_positions: int | None = None
    max_context: int | None = None
    max_new_tokens: int | None = None
    temperature: float | None = None
    chat_template: bool | None = None
    seed: int = 0
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 8
    shard_rows: int | None = None
    trust_remote_code: bool = False

    def check(self) -> None:
        """Refuse settings that no capture can have.

        Raises:
            InvalidSettingError: naming the first of them.
        """
        refuse_unknown([self.mode], MODES, "`mode`")
        if not self.text:
            raise InvalidSettingError("no text; give `text` with a file, python-docs or hub:NAME")
        if not self.drafts and not self.skip_layers:
            raise InvalidSettingError("no draft; give `drafts` MODEL or `skip_layers` 14,20")
        if self.temperature is not None and not 0 <= self.temperature < float("inf"):
            raise InvalidSettingError(f"`temperature` {self.temperature}: give 0 or more")
        if self.seed < 0:
            raise InvalidSettingError(f"`seed` {self.seed}: give 0 or more")
        if self.mode == "score":
            self._check_no_answers()
        self._check_counts()

    def _check_no_answers(self) -> None:
        # A setting that would be ignored is a misunderstanding: say so before hours of capture.
        answers = {
            "temperature": self.temperature is not None,
            "max_new_tokens": self.max_new_tokens is not None,
            "chat_template": bool(self.chat_template),
        }
        for name, given in answers.items():
            if given:
                raise InvalidSettingError(f"`{name}` is about answers; add `mode` generate")

    def _check_counts(self) -> None:
        counts = {
            "limit": self.limit,
            "limit_per_task": self.limit_per_task,
            "max_positions": self.max_positions,
            "max_context": self.max_context,
            "max_new_tokens": self.max_new_tokens,
            "batch_size": self.batch_size,
            "shard_rows": self.shard_rows,
        }
        for name, count in counts.items():
            if count is not None and count < 1:
                raise InvalidSettingError(f"`{name}` {count}: give at least 1")
