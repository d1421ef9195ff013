"""What a scheme says of itself before it sees a distribution, and which schemes fit a request.

This floor knows no scheme and no check: both look things up here, and neither looks up the other.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SchemeFacts:
    """Name and limits of a scheme.

    Attributes:
        name: what `schemes.get` knows it by.
        table_order: position in `names()`.
        min_drafts: least number of drafts it is defined for.
        max_drafts: largest number, or None.
        identical_only: whether all drafts must come from one distribution.
        token_acceptance: whether `Scheme.token_acceptance` has a closed form.
    """

    name: str
    table_order: int
    min_drafts: int
    max_drafts: int | None
    identical_only: bool
    token_acceptance: bool = False

    def supports(self, num_drafts: int) -> bool:
        """Whether the scheme is defined for this many drafts.

        Example:
            >>> SchemeFacts("pairs", 0, 2, 2, identical_only=True).supports(3)
            False
        """
        return num_drafts >= self.min_drafts and (
            self.max_drafts is None or num_drafts <= self.max_drafts
        )

    @property
    def numbers(self) -> str:
        """Numbers of drafts in words, for refusals.

        Example:
            >>> SchemeFacts("pairs", 0, 2, 2, identical_only=True).numbers
            'exactly 2'
        """
        if self.max_drafts is None:
            return f"{self.min_drafts} or more"
        if self.max_drafts == self.min_drafts:
            return f"exactly {self.min_drafts}"
        return f"{self.min_drafts} to {self.max_drafts}"


_recorded: dict[str, SchemeFacts] = {}


def record(facts: SchemeFacts) -> None:
    """Add a scheme to `names()` and `fitting()`; `register` does it."""
    _recorded[facts.name] = facts


def names() -> tuple[str, ...]:
    """Names of all schemes, in the order in which tables list them.

    Example:
        >>> from mdbound import schemes
        >>> schemes.names()[0]
        'single_draft'
    """
    return tuple(sorted(_recorded, key=lambda name: (_recorded[name].table_order, name)))


def fitting(num_drafts: int, *, identical: bool = True) -> tuple[str, ...]:
    """Names of the schemes that accept this many drafts (identical, or each of its own law).

    Example:
        >>> from mdbound import schemes
        >>> "spechub" in schemes.fitting(2), "spechub" in schemes.fitting(3)
        (True, False)
    """
    return tuple(
        name
        for name in names()
        if _recorded[name].supports(num_drafts)
        and (identical or num_drafts == 1 or not _recorded[name].identical_only)
    )


def with_token_acceptance(num_drafts: int) -> tuple[str, ...]:
    """Names of the schemes whose acceptance token by token has a closed form for n drafts.

    Example:
        >>> from mdbound import schemes
        >>> "k_seq" in with_token_acceptance(2), "gumbel_list" in with_token_acceptance(2)
        (True, False)
    """
    return tuple(name for name in fitting(num_drafts) if _recorded[name].token_acceptance)
