"""How the trees of a capture were drawn, or how paths that several drafts drew make one tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mdbound.bounds import Warpers
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache
from mdbound.logits_cache.store.paths_record import PathsRecord
from mdbound.trees import Paths, TreeLaw


@dataclass(frozen=True)
class CapturedLaw:
    """How the trees of a capture were drawn.

    Attributes:
        law: Their law.
        drafts: The draft that drew them; or for each of K paths the draft that it comes from.
        target_warpers: Of the target: those that the text was sampled with.
        draft_warpers: Of the drafts: those that the trees were drawn with; or one for each path.
    """

    law: TreeLaw
    drafts: tuple[str, ...]
    target_warpers: Warpers
    draft_warpers: tuple[Warpers, ...]

    @property
    def several(self) -> bool:
        """Whether each path has a law of its own."""
        return len(self.drafts) > 1 or len(self.draft_warpers) > 1

    @property
    def draft(self) -> str:
        """The draft's name, or those of the paths, as results have it."""
        return "+".join(self.drafts)

    def of_paths(self) -> tuple[tuple[str, Warpers], ...]:
        """For each path its draft, and what that was warped by."""
        count = max(len(self.drafts), len(self.draft_warpers))
        drafts = self.drafts * count if len(self.drafts) == 1 else self.drafts
        warpers = self.draft_warpers * count if len(self.draft_warpers) == 1 else self.draft_warpers
        return tuple(zip(drafts, warpers, strict=True))

    def title(self, law: TreeLaw) -> str:
        """What to call trees of a law, which may be of fewer and shorter paths.

        Example:
            >>> one, other = Warpers(1.0), Warpers(1.5)
            >>> CapturedLaw(Paths(2, 8), ("small",), one, (one, other)).title(Paths(2, 3))
            '2 paths of 3 tokens, drawn at 1, 1.5'
        """
        if len(self.draft_warpers) == 1:
            return law.title()
        count = law.num_paths if isinstance(law, Paths) else None
        drawn = ", ".join(f"{each.temperature:g}" for each in self.draft_warpers[:count])
        return f"{law.title()}, drawn at {drawn}"

    def columns(self, law: TreeLaw) -> dict[str, Any]:
        """What rows of results show of the laws."""
        temperatures = {each.temperature for each in self.draft_warpers}
        return {
            "draft": self.draft,
            **self.target_warpers.as_dict(),
            "draft_temperature": temperatures.pop() if len(temperatures) == 1 else None,
            "tree": self.title(law),
            "sampling": law.sampling,
            "num_paths": law.num_paths if isinstance(law, Paths) else None,
            "depth": law.depth,
        }

    def settings(self) -> dict[str, Any]:
        """What the provenance of results says of the laws."""
        return {
            "draft": self.draft,
            "warpers": self.target_warpers.as_dict(),
            "draft_warpers": [each.as_dict() for each in self.draft_warpers],
            "law": self.law.title(),
        }


def captured_laws(
    cache: LogitsCache, drafts: tuple[str, ...], mixed: tuple[str, ...] = ()
) -> tuple[CapturedLaw, ...]:
    """The laws of the trees in a cache.

    Args:
        cache: The capture.
        drafts: Draft models; all that drew trees when empty.
        mixed: For each path of a tree the draft that it comes from, in place of `drafts`; empty
            for trees of one draft.

    Raises:
        InvalidSettingError: The capture holds no trees, an asked-for draft drew none, or there are
            no such paths to mix.
    """
    record = cache.manifest.generation.paths
    available = cache.path_draft_names
    if record is None or not available:
        raise InvalidSettingError(
            f"{cache.path} holds no drafted trees: capture with `paths` or `tree`, or give what "
            "needs none to `run_on_capture`: full trees under schemes of one position, and gbv"
        )
    for name in (*drafts, *mixed):
        if name not in available:
            raise InvalidSettingError(
                f"`drafts` {name!r} drew no trees; those that did are {', '.join(available)}"
            )
    sampled = cache.manifest.generation.warpers
    target = Warpers() if sampled is None else Warpers.from_dict(sampled)
    drawn = record.path_warpers()
    if mixed:
        _check_mixed(record, drafts, mixed)
        law = Paths(len(mixed), record.length)
        return (CapturedLaw(law, mixed, target, drawn[: len(mixed)]),)
    return tuple(CapturedLaw(record.law(), (name,), target, drawn) for name in drafts or available)


def _check_mixed(record: PathsRecord, drafts: tuple[str, ...], mixed: tuple[str, ...]) -> None:
    if drafts:
        raise InvalidSettingError("`mixed` names the drafts of a tree's paths: leave out `drafts`")
    if not record.draws_paths:
        raise InvalidSettingError(
            f"`mixed` is of independent paths, and this capture holds a {record.law().title()}: "
            "leave it out"
        )
    if not 2 <= len(mixed) <= record.count:
        raise InvalidSettingError(
            f"`mixed` has {len(mixed)} paths: give the drafts of 2 to {record.count} of them"
        )
