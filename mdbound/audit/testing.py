"""For test suites: a rule that is not lossless fails the test, with the smallest witness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mdbound.audit.exact.path import exact_path
from mdbound.audit.exact.position import exact
from mdbound.audit.exact.tree import exact_tree
from mdbound.audit.report import AuditReport
from mdbound.audit.sampling.sampled import sampled, sampled_path, sampled_tree
from mdbound.errors import refuse_unknown

KINDS: dict[str, Callable[..., AuditReport]] = {
    "position": exact,
    "path": exact_path,
    "tree": exact_tree,
    "sampled_position": sampled,
    "sampled_path": sampled_path,
    "sampled_tree": sampled_tree,
}
"""By kind; the first argument of each is the rule."""


def assert_lossless(
    rule: Callable[..., Any], *arguments: Any, kind: str = "position", **options: Any
) -> None:
    """Raise AssertionError unless a rule is found lossless.

    Args:
        rule: as the audit of its kind takes it.
        arguments: of that audit: numbers of drafts, a draft length, or a law of trees.
        kind: `"position"`, `"path"`, `"tree"`, or `"sampled_position"` and so on for rules that
            can only be run.
        options: of that audit.

    Raises:
        AssertionError: it is not lossless, or the audit cannot say; the message is the report.
        AuditError: the rule raised.
        InvalidSettingError: an unknown kind, or as the audit.

    Example:
        >>> from mdbound import schemes
        >>> assert_lossless(schemes.get("k_seq").output_law, 2)
        >>> try:
        ...     assert_lossless(schemes.get("k_seq").output_law, 2, sampling="without_replacement")
        ... except AssertionError as error:
        ...     print(str(error).split(";")[0])
        NOT LOSSLESS: on 10 of 14 problems of one position
    """
    refuse_unknown([kind], KINDS, "`kind`")
    report = KINDS[kind](rule, *arguments, **options)
    if report.lossless is not True:
        raise AssertionError(str(report))
