"""From a capture to results: solving, statistics, tables, figures, pages, studies, recipes.

Rooms import one way: recipes, pages, then studies, figures and verification, then tables,
statistics, and solving at the bottom. What is listed here is loaded when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mdbound.analysis.pages.html_report import write_html as write_html
    from mdbound.analysis.reference_vectors import read_reference_vectors as read_reference_vectors
    from mdbound.analysis.reference_vectors import (
        write_reference_vectors as write_reference_vectors,
    )
    from mdbound.analysis.solving.grid import SolveGrid as SolveGrid
    from mdbound.analysis.solving.results import RESULT_SCHEMA as RESULT_SCHEMA
    from mdbound.analysis.solving.results import Provenance as Provenance
    from mdbound.analysis.solving.results import Results as Results
    from mdbound.analysis.solving.results import open_results as open_results
    from mdbound.analysis.solving.selection import Selection as Selection
    from mdbound.analysis.solving.setting import SolveSetting as SolveSetting
    from mdbound.analysis.solving.solve_cache import SolveSummary as SolveSummary
    from mdbound.analysis.solving.solve_cache import solve_cache as solve_cache
    from mdbound.analysis.solving.solve_capture import solve_during_capture as solve_during_capture
    from mdbound.analysis.statistics.bootstrap import Bootstrap as Bootstrap
    from mdbound.analysis.statistics.task_means import task_means as task_means
    from mdbound.analysis.studies.run_study import run_study as run_study
    from mdbound.analysis.studies.study import Study as Study
    from mdbound.analysis.studies.study_file import read_study as read_study
    from mdbound.analysis.tables.comparison import compare as compare
    from mdbound.analysis.tables.comparison import compare_schemes as compare_schemes
    from mdbound.analysis.tables.report import write_report as write_report
    from mdbound.analysis.verification.outcome import Verification as Verification
    from mdbound.analysis.verification.verify import verify_results as verify_results

__all__ = [
    "RESULT_SCHEMA",
    "Bootstrap",
    "Provenance",
    "Results",
    "Selection",
    "SolveGrid",
    "SolveSetting",
    "SolveSummary",
    "Study",
    "Verification",
    "compare",
    "compare_schemes",
    "open_results",
    "read_reference_vectors",
    "read_study",
    "run_study",
    "solve_cache",
    "solve_during_capture",
    "task_means",
    "verify_results",
    "write_html",
    "write_reference_vectors",
    "write_report",
]

_HOMES = {
    "Bootstrap": "statistics.bootstrap",
    "Provenance": "solving.results",
    "RESULT_SCHEMA": "solving.results",
    "Results": "solving.results",
    "Selection": "solving.selection",
    "SolveGrid": "solving.grid",
    "SolveSetting": "solving.setting",
    "SolveSummary": "solving.solve_cache",
    "Study": "studies.study",
    "Verification": "verification.outcome",
    "compare": "tables.comparison",
    "compare_schemes": "tables.comparison",
    "open_results": "solving.results",
    "read_reference_vectors": "reference_vectors",
    "read_study": "studies.study_file",
    "run_study": "studies.run_study",
    "solve_cache": "solving.solve_cache",
    "solve_during_capture": "solving.solve_capture",
    "task_means": "statistics.task_means",
    "verify_results": "verification.verify",
    "write_html": "pages.html_report",
    "write_reference_vectors": "reference_vectors",
    "write_report": "tables.report",
}


def __getattr__(name: str) -> object:
    # Lazy, so that a command loads what it runs, and no more.
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
