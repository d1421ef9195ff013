"""Versions of what is kept on disk: which are read, and what is said about the others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mdbound.errors import CacheError


@dataclass(frozen=True)
class Format:
    """A layout of files, with the versions of it that this mdbound reads.

    Attributes:
        name: What is laid out so.
        newest: The version written; raised when a reader of the one before would misread or miss
            something.
        oldest: The oldest version read. What it lacks is filled in where it is read.
        remake: How to make the file again, for messages.

    Example:
        >>> results = Format("results", newest=3, oldest=2, remake="solve the capture again")
        >>> results.checked("2", Path("r.parquet"))
        2
        >>> results.checked("4", Path("r.parquet"))
        Traceback (most recent call last):
        mdbound.errors.CacheError: r.parquet has results format 4, this mdbound reads 2 to 3: a
        newer mdbound wrote it; install that one, or solve the capture again
    """

    name: str
    newest: int
    oldest: int
    remake: str

    def checked(self, found: object, place: Path) -> int:
        """The version found in a file, if it is one that is read.

        Args:
            found: As the file says it: a number, or one as a text.
            place: The file.

        Raises:
            CacheError: It is older or newer than what is read, or no version at all.
        """
        version = int(found) if isinstance(found, int | str) and str(found).isdecimal() else None
        if version is not None and self.oldest <= version <= self.newest:
            return version
        shown = repr(found) if version is None else version
        read = f"{self.oldest} to {self.newest}" if self.oldest < self.newest else self.newest
        remedy = self.remake
        if version is not None and version > self.newest:
            remedy = f"a newer mdbound wrote it; install that one, or {self.remake}"
        raise CacheError(
            f"{place} has {self.name} format {shown}, this mdbound reads {read}: {remedy}"
        )
