"""The training text of the tiny pair, all of it found inside a CPython installation.

Three streams, from most to least like the text the pair is measured on: the topics of the
language reference that are not reserved, the docstrings of the standard library, and its source.
All pass the same held-out filter.
"""

from __future__ import annotations

import ast
import inspect
import sysconfig
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mdbound.logits_cache.text.python_docs import HeldOutFilter, training_topics

# The reference itself, tests, vendored or generated code, and tables of numbers.
EXCLUDED_FOLDERS = frozenset(
    {
        "pydoc_data",
        "test",
        "tests",
        "idlelib",
        "lib2to3",
        "encodings",
        "turtledemo",
        "ensurepip",
        "site-packages",
        "dist-packages",
        "lib-dynload",
        "__phello__",
        "__pycache__",
    }
)
EXCLUDED_FILES = frozenset({"entities.py", "stringprep.py"})

#: A longer module gives its beginning: whole ones would let a few modules fill the stream.
MAX_SOURCE_CHARACTERS = 60_000

#: A shorter document is mostly its own start and end tokens.
MIN_DOCUMENT_CHARACTERS = 200


@dataclass(frozen=True)
class Corpus:
    """Documents to train on, by stream.

    Attributes:
        topics: Sections of the language reference.
        docstrings: The docstrings of one standard-library module each.
        sources: The source of one standard-library module each, its beginning if it is long.
    """

    topics: list[str]
    docstrings: list[str]
    sources: list[str]


def load_corpus() -> Corpus:
    """The training text that the running Python brings along."""
    held_out = HeldOutFilter.for_python_docs()
    modules = [(path, read_source(path)) for path in stdlib_modules()]
    docstrings = (held_out.strip(module_docstrings(source)) for _, source in modules)
    sources = (held_out.strip(source)[:MAX_SOURCE_CHARACTERS] for _, source in modules)
    return Corpus(
        topics=[topic.text for topic in training_topics()],
        docstrings=[text for text in docstrings if len(text) >= MIN_DOCUMENT_CHARACTERS],
        sources=[text for text in sources if len(text) >= MIN_DOCUMENT_CHARACTERS],
    )


def stdlib_modules() -> list[Path]:
    """The standard-library source files to train on, sorted.

    Example:
        >>> any(path.name == "textwrap.py" for path in stdlib_modules())
        True
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    return sorted(path for path in root.rglob("*.py") if _is_wanted(path.relative_to(root)))


def read_source(path: Path) -> str:
    """The text of a source file, in the encoding that it declares.

    Args:
        path: A Python source file.
    """
    with tokenize.open(path) as stream:
        return stream.read()


def module_docstrings(source: str) -> str:
    r"""Every docstring of a module, dedented, one paragraph or more each.

    Args:
        source: The module's source.

    Example:
        >>> module_docstrings('def f():\n    "Return nothing."')
        'Return nothing.'
    """
    return "\n\n".join(inspect.cleandoc(text) for text in _docstrings(ast.parse(source)))


def _docstrings(tree: ast.Module) -> Iterator[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and (text := ast.get_docstring(node, clean=False)):
            yield text


def _is_wanted(path: Path) -> bool:
    unwanted_folder = any(
        part in EXCLUDED_FOLDERS or part.startswith("config-") for part in path.parts[:-1]
    )
    return not unwanted_folder and path.name not in EXCLUDED_FILES
