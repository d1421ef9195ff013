"""Every exception that mdbound raises on purpose.

All derive from `MdboundError`, so that a script can catch one class and the command line can
print one line and exit with status 2. A message names the value that was refused, where it
stands (row, file, argument) and what to do about it.

Arguments and fields stand in backticks in a message, as in "`top_k` 0: give 1 or more". Only the
command line puts flags in their place (`mdbound.cli.flags`).
"""

from __future__ import annotations

from collections.abc import Iterable


class MdboundError(Exception):
    """Base of every error that mdbound raises on purpose."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Arguments and fields that the message names, in its order.

        Example:
            >>> InvalidSettingError("`top_k` 0: give 1 or more").fields
            ('top_k',)
        """
        import re

        return tuple(re.findall(r"`(\w+)`", str(self)))


class InvalidDistributionError(MdboundError, ValueError):
    """An array that should hold probabilities or logits does not: names the row and the value."""


class InvalidSettingError(MdboundError, ValueError):
    """An argument or field outside its range, or some that exclude each other."""


class UnsolvedError(MdboundError, RuntimeError):
    """A solver could not reach its stated error bound, so no value is returned."""


class MissingDependencyError(MdboundError, ImportError):
    """An optional extra is needed: the message says which one to install."""


class ModelError(MdboundError):
    """A model or tokenizer cannot be found, loaded, or paired with another."""


class TextSourceError(MdboundError):
    """The text to capture is missing, empty, or not of the expected shape."""


class CacheError(MdboundError):
    """A logits cache or results file is missing, damaged, or of another version."""


class AuditError(MdboundError):
    """A rule that is audited raised, or what was given of it cannot be read."""


class OutputError(MdboundError, OSError):
    """Results cannot be written (disk full, no permission): what was written before stays."""


def refuse_unknown(
    names: Iterable[str],
    known: Iterable[str],
    what: str,
    error: type[MdboundError] = InvalidSettingError,
) -> None:
    """Raise for the first name that is not known.

    Args:
        names: Names as given.
        known: Names that exist.
        what: What they name, for the message; a field in backticks.
        error: What to raise.

    Raises:
        InvalidSettingError: Or `error`, with the nearest known name, and all of them.

    Example:
        >>> refuse_unknown(["temprature"], ["temperature", "top_k"], "key")
        Traceback (most recent call last):
        mdbound.errors.InvalidSettingError: key 'temprature' is unknown: did you mean
        'temperature'? It can be temperature, top_k
    """
    choices = list(known)
    for name in names:
        if name not in choices:
            listed = ", ".join(choices)
            raise error(f"{what} {name!r} is unknown: {_nearest(name, choices)} can be {listed}")


def _nearest(name: str, choices: list[str]) -> str:
    """A question, if a known name is near, and the subject of the sentence that lists them all."""
    import difflib

    # At 0.5 half the letters agree: a swapped or missing letter is found in names as short as
    # "task", and a word of another kind gets no suggestion.
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}? It" if near else "it"
