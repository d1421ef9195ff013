"""Numbers of drafts as ranges and lists: `1-8`, `1,2,4`."""

from __future__ import annotations

from mdbound.errors import InvalidSettingError

#: More drafts than this per position is a typing error rather than a study: real systems draft at
#: most some dozens, and time and memory grow with the largest n.
MAX_DRAFTS = 1024

#: What to give, for messages.
_REMEDY = "give integers from 1 to {}, as in 1-8 or 1,2,4"
NUM_DRAFTS_REMEDY = _REMEDY.format(MAX_DRAFTS)


def parse_num_drafts(
    text: str, field: str = "num_drafts", largest: int = MAX_DRAFTS
) -> tuple[int, ...]:
    """Read the n to solve for, or other counts of drafts, as ranges and lists.

    Args:
        text: Such as `"1-8"`, `"1,2,4"` or `"1-4,8"`.
        field: What messages call them.
        largest: More than this is refused.

    Returns:
        Distinct values, increasing.

    Raises:
        InvalidSettingError: Not integers, a range that runs backwards, or a number outside 1 to the
            largest.

    Example:
        >>> parse_num_drafts("1-3,8")
        (1, 2, 3, 8)
    """
    found: set[int] = set()
    remedy = _REMEDY.format(largest)
    for piece in filter(None, map(str.strip, text.split(","))):
        low_text, dash, high_text = piece.partition("-")
        try:
            low, high = int(low_text), int(high_text if dash else low_text)
        except ValueError:
            raise InvalidSettingError(f"`{field}` {piece}: not a number; {remedy}") from None
        if not 1 <= low <= high <= largest:
            raise InvalidSettingError(f"`{field}` {piece}: out of range; {remedy}")
        found.update(range(low, high + 1))
    if not found:
        raise InvalidSettingError(f"`{field}` is empty; {remedy}")
    return tuple(sorted(found))
