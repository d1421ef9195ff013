"""`mdbound figure`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "Example: mdbound figure acceptance results.parquet --out acceptance.pdf"

#: Figures that need no results.
TWO_DRAFTS, TREE, TREE_GAP = "two-drafts", "tree", "tree-gap"

#: The figures of results of `trees`.
TREE_LENGTHS, PATHS_GAP, PATHS_WHERE = "tree-lengths", "paths-gap", "paths-where"
OF_TREES = (TREE_LENGTHS, PATHS_GAP, PATHS_WHERE)


def register(app: typer.Typer) -> None:
    """Add `mdbound figure` to the command line."""
    app.command("figure", epilog=EXAMPLE)(figure)


def figure(
    name: Annotated[
        str,
        typer.Argument(
            help="acceptance, gap, vocabulary, ecdf, entropy, draft-temperatures, second-draft; "
            "of `paths` tokens-per-call, accepted-depth; of `trees` tree-lengths, paths-gap, "
            "paths-where; without "
            "RESULTS two-drafts, tree-gap, and tree, which takes a topology in their place."
        ),
    ],
    out: Annotated[Path, typer.Option(help="File to write: .png, .pdf or .svg.")],
    results: Annotated[
        Path | None,
        typer.Argument(
            help="Results of `solve`, `sweep`, `paths` or `trees`; for tree 2x4, or a file."
        ),
    ] = None,
    beside: Annotated[
        list[Path],
        typer.Option(help="Of `trees`: further results, such as those of `path-bound`."),
    ] = [],  # noqa: B006  (typer copies it)
    where: Annotated[
        list[str],
        typer.Option(
            metavar="COLUMN=VALUE",
            help="Draw these rows only, as in num_drafts=2 or task=qa; may be repeated.",
        ),
    ] = [],  # noqa: B006  (typer copies it)
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples of the documents.")] = 9999,
    seed: Annotated[int, typer.Option(help="Seed of the resampling.")] = 0,
    points: Annotated[int, typer.Option(help="Points per curve of two-drafts.")] = 241,
    instances: Annotated[int, typer.Option(help="Random models of each kind, of tree-gap.")] = 60,
) -> None:
    """Draw results, or a published figure from exact values.

    Bands are 95% bootstrap intervals over documents. What a figure has no axis for is held fixed,
    and printed; choose it with --where.

    two-drafts: acceptance of two i.i.d. drafts over three tokens, optimal, SpecTr and SpecInfer
    (Khisti et al. 2025, Figure 2). tree-gap: what verifiers of draft trees miss to the best one, on
    random tiny models, with a table beside the figure; with a cache in place of RESULTS, of full
    trees of the likeliest tokens, also on that pair. tree: a topology.
    """
    from mdbound.errors import InvalidSettingError

    if beside and name not in OF_TREES:
        raise InvalidSettingError("--beside is for results of `trees`; leave it out")
    if name == TWO_DRAFTS:
        if results is not None:
            raise InvalidSettingError(f"two-drafts needs no results; leave out {results}")
        from mdbound.analysis.recipes.two_draft_figure import write_two_draft_figure

        typer.echo(f"wrote {write_two_draft_figure(out, points)}")
        return
    if name == TREE:
        _tree(results, out)
        return
    if name == TREE_GAP:
        _tree_gap(results, out, instances, seed)
        return
    from mdbound.analysis.figures import FIGURES, FigureOptions, draw, write_as
    from mdbound.analysis.figures.path_kinds import PATH_FIGURES, draw_path_figure
    from mdbound.analysis.figures.path_verifiers import draw_paths_gap, draw_paths_where
    from mdbound.analysis.figures.tree_kinds import draw_tree_lengths
    from mdbound.analysis.paths.path_results import open_paths
    from mdbound.analysis.solving.results import open_results
    from mdbound.analysis.statistics.bootstrap import Bootstrap
    from mdbound.analysis.trees.tree_results import open_trees
    from mdbound.analysis.trees.tree_tables import together
    from mdbound.cli.parsing import parse_where
    from mdbound.errors import refuse_unknown

    refuse_unknown(
        [name], [*FIGURES, *PATH_FIGURES, TWO_DRAFTS, TREE, TREE_GAP, *OF_TREES], "figure"
    )
    if results is None:
        raise InvalidSettingError(
            f"figure {name} draws results; give the file that `mdbound solve`, "
            "`mdbound paths` or `mdbound trees` wrote"
        )
    bootstrap = Bootstrap(resamples=resamples, seed=seed)
    if where and name in (*OF_TREES, *PATH_FIGURES):
        raise InvalidSettingError("--where is for results of `solve`; leave it out")
    if name in OF_TREES:
        every = together(open_trees(results), [open_trees(each) for each in beside])
        drawing = {
            TREE_LENGTHS: draw_tree_lengths,
            PATHS_GAP: draw_paths_gap,
            PATHS_WHERE: draw_paths_where,
        }[name](every, bootstrap)
    elif name not in PATH_FIGURES:
        drawing = draw(name, open_results(results), FigureOptions(bootstrap, parse_where(where)))
    else:
        drawing = draw_path_figure(name, open_paths(results), bootstrap)
    typer.echo(drawing.caption)
    typer.echo(f"wrote {write_as(drawing, out)}")


def _tree(topology: Path | None, out: Path) -> None:
    from mdbound import trees
    from mdbound.analysis.figures import write_as
    from mdbound.analysis.figures.tree_kinds import draw_topology
    from mdbound.errors import InvalidSettingError

    if topology is None:
        raise InvalidSettingError(
            "figure tree draws a topology; give one, such as 2x4, eagle_sparse_25 or a JSON file"
        )
    found = trees.topology(str(topology))
    drawing = draw_topology(topology.stem, found)
    typer.echo(found.drawn())
    typer.echo(drawing.caption)
    typer.echo(f"wrote {write_as(drawing, out)}")


def _tree_gap(cache: Path | None, out: Path, instances: int, seed: int) -> None:
    import polars as pl

    from mdbound.analysis.figures import write_as
    from mdbound.analysis.figures.tree_kinds import draw_gaps
    from mdbound.analysis.tables.files import write_table
    from mdbound.analysis.trees.gap_series import gap_series, gap_table
    from mdbound.analysis.trees.restricted_pair import gaps_of_pair
    from mdbound.cli.progress_bar import progress_bar
    from mdbound.cli.show_table import show_table
    from mdbound.logits_cache.store.cache import LogitsCache

    with progress_bar("tree-gap", "models") as bar:
        frame = gap_series(
            instances, seed, on_progress=lambda done, total: bar.update(done, total, done)
        )
    if cache is not None:
        with progress_bar("tree-gap", "contexts") as bar:
            pair = gaps_of_pair(
                LogitsCache.open(cache), 2, lambda step: bar.update(step.done, step.total, step.new)
            )
        frame = pl.concat([frame, pair])
    table = gap_table(frame, seed)
    show_table(table)
    drawing = draw_gaps(frame, seed)
    for file in (write_as(drawing, out), *write_table(table, out.parent, out.stem)):
        typer.echo(f"wrote {file}")
