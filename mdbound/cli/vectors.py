"""`mdbound vectors`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "Example: mdbound vectors --out vectors.json"


def register(app: typer.Typer) -> None:
    """Add `mdbound vectors` to the command line."""
    app.command("vectors", epilog=EXAMPLE)(vectors)


def vectors(
    *,
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    seed: Annotated[int, typer.Option(help="Seed of the random problems.")] = 0,
    problems: Annotated[
        int, typer.Option(help="Random problems of a position, beside the named ones.")
    ] = 4,
    schema: Annotated[
        Path | None, typer.Option(help="Also write the JSON Schema of the file here.")
    ] = None,
) -> None:
    """Write exact reference vectors for tests of verification kernels.

    For small problems of one position the optimal acceptance per draft law, and for each scheme
    its rates and the law of the output, list of drafts by list; for drafted paths block
    verification's coins, residuals and law; for draft trees the same of every verifier. The file
    is the same on every machine.
    """
    from mdbound.analysis.reference_vectors import (
        read_reference_vectors,
        write_reference_vectors,
        write_vectors_schema,
    )

    found = read_reference_vectors(write_reference_vectors(out, seed, problems))
    branches = sum(
        len(each["branches"]) for problem in found["problems"] for each in problem["schemes"]
    )
    paths = sum(len(problem["paths"]) for problem in found["block_verification"])
    trees = sum(len(problem["trees"]) for problem in found["trees"])
    typer.echo(
        f"wrote {out}: {len(found['problems'])} problems of one position with {branches:,} lists "
        f"of drafts, {paths:,} drafted paths, {trees:,} draft trees"
    )
    if schema is not None:
        typer.echo(f"wrote {write_vectors_schema(schema)}")
