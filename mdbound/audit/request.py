"""What is asked of an audit in words and numbers, as a command line has them, and its runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from mdbound import schemes
from mdbound.audit.calls import Numbers
from mdbound.audit.exact.path import exact_path
from mdbound.audit.exact.position import exact
from mdbound.audit.exact.tree import exact_tree
from mdbound.audit.ours import path_rule, position_rule, sampling_of, tree_rule, tree_sampler
from mdbound.audit.problems.models import ModelProblem, path_problems, tree_problems
from mdbound.audit.problems.positions import PositionProblem, position_problems
from mdbound.audit.report import AuditReport
from mdbound.audit.sampling.sampled import sampled, sampled_path, sampled_tree
from mdbound.audit.subject import OWN, kind_of, load_function
from mdbound.audit.table import table
from mdbound.audit.trace import trace
from mdbound.errors import InvalidSettingError, refuse_unknown
from mdbound.trees import Branching, Paths, TreeLaw, is_named_law, named_law, runnable_verifier

Announce: TypeAlias = Callable[[str], None]
Run: TypeAlias = Callable[[], AuditReport]
Problems: TypeAlias = Sequence[PositionProblem] | Sequence[ModelProblem]

#: Numbers of drafts and lengths that a kind is audited at where none are given.
_COUNTS = {"position": (1, 2, 3), "path": (1,), "tree": (2,)}
_LENGTHS = {"position": (1,), "path": (1, 2, 3), "tree": (2,)}


@dataclass(frozen=True)
class AuditRequest:
    """A rule and how to audit it.

    Attributes:
        rule: `module:function`, a file of branch probabilities (`.json`), a trace (`.jsonl`), or
            the name of a rule of ours.
        kind: `"position"`, `"path"` or `"tree"`; None for what the name says, else a position.
        sampler: whether the function draws, and is given a generator.
        num_drafts: numbers of drafts, or of the paths of a tree; empty for the kind's usual ones.
        sampling: how the drafts of a position are drawn; empty for the rule's own, else with
            replacement.
        lengths: drafted tokens along a path; empty for the kind's usual ones.
        tree: a topology or a named law of trees, instead of paths.
        tree_sampling: how the children of a topology's node are drawn; empty for without
            replacement.
        numbers: rows as `"float"` or `"fraction"`.
        tolerance: largest total variation that is rounding.
        runs: of each problem of a sampler.
        seed: of these.

    Example:
        >>> [title for title, _ in AuditRequest("k_seq", num_drafts=(2,)).audits()]
        ['k_seq, 2 drafts with_replacement']
    """

    rule: str
    kind: str | None = None
    sampler: bool = False
    num_drafts: tuple[int, ...] = ()
    sampling: str = ""
    lengths: tuple[int, ...] = ()
    tree: str | None = None
    tree_sampling: str = ""
    numbers: Numbers = "float"
    tolerance: float = 1e-9
    runs: int = 20_000
    seed: int = 0

    def audits(self, announce: Announce | None = None) -> Iterator[tuple[str, Run]]:
        """Titles, and what runs each audit.

        Args:
            announce: called with a line where something takes long, or runs somebody's code.

        Raises:
            AuditError: the rule cannot be loaded.
            InvalidSettingError: no such rule, kind or law.
        """
        endings: dict[str, Callable[[], AuditReport]] = {
            ".json": lambda: table(self.rule, tolerance=self.tolerance),
            ".jsonl": lambda: trace(self.rule, self.sampling or "with_replacement", seed=self.seed),
        }
        if run := endings.get(Path(self.rule).suffix):
            yield self.rule, run
            return
        if not self.rule:
            raise InvalidSettingError(
                "`rule` is empty: give module:function, a file, or the name of a rule of ours"
            )
        kind = self.kind or ("position" if ":" in self.rule else kind_of(self.rule))
        by_kind = {"position": self._positions, "path": self._paths, "tree": self._trees}
        refuse_unknown([kind], by_kind, "`kind`")
        rule = self._function(announce)
        if rule is None:
            refuse_unknown([self.rule], OWN[kind](), f"`rule` for a {kind}")
        yield from by_kind[kind](rule, kind, announce)

    def battery(self) -> Iterator[tuple[str, Problems]]:
        """The problems that would be looked at, by title."""
        kind = self.kind or "position"
        if kind == "position":
            for count in self.num_drafts or _COUNTS[kind]:
                sampling = self.sampling or "with_replacement"
                yield f"{count} drafts {sampling}", position_problems(count, sampling)
        elif kind == "path":
            for length in self.lengths or _LENGTHS[kind]:
                yield f"a path of {length}", path_problems(length)
        else:
            yield from ((law.title(), tree_problems(law)) for law in self._laws())

    def _function(self, announce: Announce | None) -> Callable[..., Any] | None:
        if ":" not in self.rule:
            return None
        if announce is not None:
            announce(f"running the code of module {self.rule.partition(':')[0]}")
        return load_function(self.rule)

    def _positions(
        self, rule: Callable[..., Any] | None, kind: str, announce: Announce | None
    ) -> Iterator[tuple[str, Run]]:
        sampling = self.sampling or (sampling_of(self.rule) if rule is None else "with_replacement")
        for count in self.num_drafts or _COUNTS[kind]:
            if rule is None and not schemes.get(self.rule).supports(count):
                continue
            title = f"{self.rule}, {count} drafts {sampling}"
            if self.sampler and rule is not None:
                yield title, partial(sampled, rule, count, sampling, **self._drawn(announce))
            else:
                law = position_rule(self.rule) if rule is None else rule
                yield title, partial(exact, law, count, sampling, **self._summed())

    def _paths(
        self, rule: Callable[..., Any] | None, kind: str, announce: Announce | None
    ) -> Iterator[tuple[str, Run]]:
        for length in self.lengths or _LENGTHS[kind]:
            title = f"{self.rule}, a path of {length}"
            if self.sampler and rule is not None:
                yield title, partial(sampled_path, rule, length, **self._drawn(announce))
            else:
                kernel = path_rule(self.rule) if rule is None else rule
                yield title, partial(exact_path, kernel, length, **self._summed())

    def _trees(
        self, rule: Callable[..., Any] | None, kind: str, announce: Announce | None
    ) -> Iterator[tuple[str, Run]]:
        del kind  # the laws have their numbers
        for law in self._laws():
            title = f"{self.rule}, {law.title()}"
            drawn = self.sampler or (rule is None and not runnable_verifier(self.rule).law_is_exact)
            if drawn:
                run = tree_sampler(self.rule, law) if rule is None else rule
                yield title, partial(sampled_tree, run, law, **self._drawn(announce))
            else:
                verifier = tree_rule(self.rule, law) if rule is None else rule
                yield title, partial(exact_tree, verifier, law, **self._summed())

    def _laws(self) -> Iterator[TreeLaw]:
        if self.tree is not None and is_named_law(self.tree):
            yield named_law(self.tree)
        elif self.tree is not None:
            yield Branching(self.tree, self.tree_sampling or "without_replacement")
        else:
            for count in self.num_drafts or _COUNTS["tree"]:
                for length in self.lengths or _LENGTHS["tree"]:
                    yield Paths(count, length)

    def _summed(self) -> dict[str, Any]:
        return {"numbers": self.numbers, "tolerance": self.tolerance}

    def _drawn(self, announce: Announce | None) -> dict[str, Any]:
        return {"seed": self.seed, "runs": self.runs, "announce": announce}


def exit_status(reports: Sequence[AuditReport]) -> int:
    """0 if all are lossless, 1 if one is not, else 2: cannot say.

    Example:
        >>> exit_status([AuditReport(True, 0.0)]), exit_status([AuditReport(None, 0.0)])
        (0, 2)
    """
    verdicts = {report.lossless for report in reports}
    if False in verdicts:
        return 1
    return 0 if verdicts == {True} else 2
