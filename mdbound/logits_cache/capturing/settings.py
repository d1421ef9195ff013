"""What a capture is asked to do, and the checks that need neither text nor models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mdbound.bounds import Warpers
from mdbound.errors import InvalidSettingError, refuse_unknown
from mdbound.logits_cache.text.conversations import HISTORIES
from mdbound.trees import Branching, TreeLaw, is_named_law, named_law, topology

MODES = ("score", "generate")

#: Longest answer in tokens unless asked otherwise: what published experiments use. Longer ones add
#: positions of the same document, which narrow intervals less than further documents do.
DEFAULT_NEW_TOKENS = 128

#: Window of score mode in tokens unless asked otherwise. Wider ones give the first tokens of fewer
#: windows too short a context, and cost memory and time by their square.
SCORE_CONTEXT = 1024

#: Contexts of an answer at which drafts draw paths, unless asked otherwise. Those of one answer
#: depend on each other: more of them cost disk and narrow intervals less than further documents do.
DEFAULT_PATH_CONTEXTS = 8


#: How children are drawn where a tree is asked for and nothing else is said: as served trees are.
DEFAULT_TREE_SAMPLING = "without_replacement"


_ABOUT = {
    "length": "paths",
    "path_contexts": "paths",
    "path_every": "paths",
    "path_temperatures": "paths",
    "tree_sampling": "trees",
    "trees_per_context": "trees",
}


@dataclass(frozen=True)
class CaptureSettings:
    """Settings of one capture; the command line's options carry the same names.

    Attributes:
        target: target model (hub id, folder, `.gguf` file, `tiny:target`).
        text: text sources, see `text.load_documents`.
        out: folder of the cache.
        drafts: draft models.
        skip_layers: decoder layers to leave out of the target, one tuple per such draft.
        align_vocabulary: `prefix` for models of which one has further tokens at the end: they have
            no probability on the side that lacks them. None refuses models whose tokens differ.
        draft_vocabulary: for each of `drafts` a file with the tokens that it puts out, see
            `models.vocabulary_map`, or `none`; empty if all put out all.
        mode: `score` records every position of the text, `generate` the target's answers.
        field: field of records that holds the text or conversation; None detects it.
        tasks: tasks to keep; empty keeps all.
        limit: most documents, or None.
        limit_per_task: most documents of each task, or None.
        max_positions: most positions per document, or None.
        window_bos: whether later windows of a text begin with the beginning token where its first
            window does. Only in score mode.
        max_context: longest context in tokens; None takes 1024 in score mode, and what the
            models were made for in generate mode.
        max_new_tokens: longest answer in tokens; None takes 128. Only in generate mode.
        temperature: sampling temperature of the answers; 0 takes the most likely token, None
            means 1. Only in generate mode.
        top_k: most likely tokens that answers are sampled from, or None. Only in generate mode.
        top_p: nucleus mass, likewise.
        min_p: least share of the likeliest token's probability, likewise.
        chat_template: whether prompts go through the tokenizer's chat template; None means if it
            has one, in generate mode.
        system: system prompt of conversations that have none of their own. Only in generate mode.
        turns: most turns of the user in a conversation, or None for all. Only in generate mode.
        history: what becomes of answers that a conversation holds: `given` keeps them as history,
            and the target answers what has none, and the last turn; `target` has it answer every
            turn. Only in generate mode.
        paths: paths of `length` tokens that each draft draws, independently, at contexts of the
            answers, warped as the answers are; None for none. Only in generate mode.
        length: tokens of a path; needed with `paths`.
        tree: trees that each draft draws in place of paths: a topology, a name or file of
            `mdbound.trees.topology`, or a law of `mdbound.trees.named_law`; None for none.
        tree_sampling: how the children of a node of a topology are drawn, a law of
            `mdbound.trees.Branching`; None takes `without_replacement`.
        trees_per_context: trees at a context, independent of each other; None draws one.
        path_contexts: contexts of each answer at which paths or trees are drawn, all of them if it
            has fewer; None takes 8. Those without room for a path in the context are left out.
        path_every: n, to draw at every n-th position of an answer in place of so many.
        path_temperatures: of the drafts where paths or trees are drawn, one for all or one for each
            of `paths`; empty takes that of the answers.
        seed: seed of the answers' sampling, and of the paths'.
        device: `auto`, `cpu`, `cuda`, `mps`, ...
        dtype: `auto`, `float32`, `bfloat16` or `float16`.
        batch_size: documents per forward pass, and contexts that drafts draw from together.
        shard_rows: positions after which a shard is closed; None closes it near 256 MiB of logits.
        trust_remote_code: whether code that lies in a model's folder may run.
    """

    target: str
    text: tuple[str, ...]
    out: Path
    drafts: tuple[str, ...] = ()
    skip_layers: tuple[tuple[int, ...], ...] = ()
    align_vocabulary: str | None = None
    draft_vocabulary: tuple[str, ...] = ()
    mode: str = "score"
    field: str | None = None
    tasks: tuple[str, ...] = ()
    limit: int | None = None
    limit_per_task: int | None = None
    max_positions: int | None = None
    window_bos: bool = True
    max_context: int | None = None
    max_new_tokens: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    chat_template: bool | None = None
    system: str | None = None
    turns: int | None = None
    history: str = "given"
    paths: int | None = None
    length: int | None = None
    tree: str | None = None
    tree_sampling: str | None = None
    trees_per_context: int | None = None
    path_contexts: int | None = None
    path_every: int | None = None
    path_temperatures: tuple[float, ...] = ()
    seed: int = 0
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 8
    shard_rows: int | None = None
    trust_remote_code: bool = False

    @property
    def warpers(self) -> Warpers:
        """What the target's distribution is warped by before answers are sampled.

        Raises:
            InvalidSettingError: naming the one that is out of range.
        """
        temperature = 1.0 if self.temperature is None else self.temperature
        try:
            return Warpers(temperature, self.top_k, self.top_p, self.min_p)
        except InvalidSettingError as error:
            name, _, rest = str(error).partition(" ")
            raise InvalidSettingError(f"`{name}` {rest}") from error

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
        refuse_unknown([self.history], HISTORIES, "`history`")
        if self.seed < 0:
            raise InvalidSettingError(f"`seed` {self.seed}: give 0 or more")
        if self.mode == "score":
            self._check_no_answers()
        elif not self.window_bos:
            raise InvalidSettingError("`window_bos` is about windows; leave it out, or `mode`")
        self._check_counts()
        self._check_paths()
        _ = self.warpers  # refused if one is out of range

    def _check_no_answers(self) -> None:
        # A setting that would be ignored is a misunderstanding: say so before hours of capture.
        answers = {
            "temperature": self.temperature is not None,
            "top_k": self.top_k is not None,
            "top_p": self.top_p is not None,
            "min_p": self.min_p is not None,
            "max_new_tokens": self.max_new_tokens is not None,
            "chat_template": bool(self.chat_template),
            "system": self.system is not None,
            "turns": self.turns is not None,
            "history": self.history != "given",
            "paths": self.paths is not None,
            "length": self.length is not None,
            "tree": self.tree is not None,
            "tree_sampling": self.tree_sampling is not None,
            "trees_per_context": self.trees_per_context is not None,
            "path_contexts": self.path_contexts is not None,
            "path_every": self.path_every is not None,
            "path_temperatures": bool(self.path_temperatures),
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
            "turns": self.turns,
            "paths": self.paths,
            "length": self.length,
            "trees_per_context": self.trees_per_context,
            "path_contexts": self.path_contexts,
            "path_every": self.path_every,
            "batch_size": self.batch_size,
            "shard_rows": self.shard_rows,
        }
        for name, count in counts.items():
            if count is not None and count < 1:
                raise InvalidSettingError(f"`{name}` {count}: give at least 1")

    def tree_law(self) -> TreeLaw | None:
        """The law of the trees; None if there are none.

        Raises:
            InvalidSettingError: no such topology or law.
        """
        if self.tree is None:
            return None
        if is_named_law(self.tree):
            if self.tree_sampling is not None:
                raise InvalidSettingError(
                    f"`tree_sampling` is about topologies, and {self.tree} says how it is drawn: "
                    "leave it out"
                )
            return named_law(self.tree)
        return Branching(topology(self.tree), self.tree_sampling or DEFAULT_TREE_SAMPLING)

    @property
    def drawn_length(self) -> int | None:
        """Tokens of the longest path that is drawn; None if nothing is."""
        law = self.tree_law()
        return self.length if law is None else law.depth

    def _check_paths(self) -> None:
        if self.paths is not None and self.length is None:
            raise InvalidSettingError(
                f"`paths` {self.paths} of how many tokens? Give `length`, such as 8"
            )
        if self.tree is not None and (self.paths, self.length) != (None, None):
            raise InvalidSettingError(
                "`tree` says how many tokens are drawn; leave out `paths` and `length`, or `tree`"
            )
        length = self.drawn_length
        alone = {
            "length": self.length if self.paths is None else None,
            "path_contexts": self.path_contexts if length is None else None,
            "path_every": self.path_every if length is None else None,
            "path_temperatures": (self.path_temperatures or None) if length is None else None,
            "tree_sampling": self.tree_sampling if self.tree is None else None,
            "trees_per_context": self.trees_per_context if self.tree is None else None,
        }
        for name, value in alone.items():
            if value is not None:
                needed = "`tree`" if _ABOUT[name] == "trees" else "`paths` with their number"
                raise InvalidSettingError(f"`{name}` is about {_ABOUT[name]}; add {needed}")
        self._check_temperatures()
        if self.path_contexts is not None and self.path_every is not None:
            raise InvalidSettingError(
                f"`path_contexts` {self.path_contexts} and `path_every` {self.path_every} both say "
                "where paths are drawn; give one"
            )
        if length is not None and self.max_context is not None and length >= self.max_context:
            what = "tree" if self.length is None else "length"
            raise InvalidSettingError(
                f"`{what}` {self.tree or length} leaves no context of `max_context` "
                f"{self.max_context}; give a shorter one"
            )

    def _check_temperatures(self) -> None:
        given = self.path_temperatures
        numbers = (0, 1) if self.paths is None else (0, 1, self.paths)
        if len(given) not in numbers:
            what = "trees" if self.paths is None else f"{self.paths} paths"
            raise InvalidSettingError(
                f"`path_temperatures` has {len(given)} for {what}: give one"
                + ("" if self.paths is None else ", or one for each path")
            )
        for temperature in given:
            try:
                Warpers(temperature)
            except InvalidSettingError as error:
                raise InvalidSettingError(f"`path_temperatures`: {error}") from error
