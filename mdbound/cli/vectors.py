"""`mdbound vectors`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "Example: mdbound vectors --out vectors.json"


def register(app: typer.Typer) -> None:
    """Add `mdbound vectors` to the command line."""
    app.command("vectors", epilog=EXAMPLE)(vectors)


def vectors(out: Annotated[Path, typer.Option(help="JSON file to write.")]) -> None:
    """Write exact reference vectors for tests of verification kernels.

    Small problems with the optimal acceptance per draft law, and for each scheme its rates and
    the probability that each drafted token is the output, tuple by tuple.
    """
    from mdbound.analysis.reference_vectors import PROBLEMS, write_reference_vectors

    typer.echo(f"wrote {write_reference_vectors(out)}: {len(PROBLEMS)} problems")
