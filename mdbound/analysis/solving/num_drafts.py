"""Numbers of drafts as ranges and lists: `1-8`, `1,2,4`."""

from __future__ import annotations

from mdbound.errors import InvalidSettingError

#: More drafts than this per position is a typing error rather than a study: real systems draft at
#: most some dozens, and time and memory grow with the largest n.
MAX_DRAFTS = 1024

#: What to give, for messages.
NUM_DRAFTS_REMEDY = f"give integers from 1 to {MAX_DRAFTS}, as in 1-8 or 1,2,4"


def parse_num_drafts(text: str) -> tuple[int, ...]:
    """Read the n to solve for, as ranges and lists.

    Args:
        text: Such as `"1-8"`, `"1,2,4"` or `"1-4,8"`.

    Returns:
        Distinct values, increasing.

    Raises:
        InvalidSettingError: Not integers, a range that runs backwards, or n outside 1 to 1024.

    Example:
        >>> parse_num_drafts("1-3,8")
        (1, 2, 3, 8)
    """
    found: set[int] = set()
    for piece in filter(None, map(str.strip, text.split(","))):
        low_text, dash, high_text = piece.partition("-")
        try:
            low, high = int(low_text), int(high_text if dash else low_text)
        except ValueError:
            raise InvalidSettingError(
                f"`num_drafts` {piece}: not a number; {NUM_DRAFTS_REMEDY}"
            ) from None
        if not 1 <= low <= high <= MAX_DRAFTS:
            raise InvalidSettingError(f"`num_drafts` {piece}: out of range; {NUM_DRAFTS_REMEDY}")
        found.update(range(low, high + 1))
    if not found:
        raise InvalidSettingError(f"`num_drafts` is empty; {NUM_DRAFTS_REMEDY}")
    return tuple(sorted(found))
