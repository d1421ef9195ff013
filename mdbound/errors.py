"""Every exception that mdbound raises on purpose.

All derive from `MdboundError`, so that a script can catch one class and the command line can
print one line and exit with status 2. A message names the value that was refused, where it
stands (row, file, option) and what to do about it.
"""

from __future__ import annotations


class MdboundError(Exception):
    """Base of every error that mdbound raises on purpose."""


class InvalidDistributionError(MdboundError, ValueError):
    """An array that should hold probabilities or logits does not: names the row and the value."""


class InvalidSettingError(MdboundError, ValueError):
    """An option or argument outside its range, or options that exclude each other."""


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


class OutputError(MdboundError, OSError):
    """Results cannot be written (disk full, no permission): what was written before stays."""
