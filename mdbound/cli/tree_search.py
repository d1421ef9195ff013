"""`mdbound tree-search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdbound.cli.show_table import show_table
from mdbound.cli.solve import command_line

EXAMPLE = "Example: mdbound tree-search captures/smollm2 --budget 8,25 --out topologies"


def register(app: typer.Typer) -> None:
    """Add `mdbound tree-search` to the command line."""
    app.command("tree-search", epilog=EXAMPLE)(tree_search)


def tree_search(
    cache: Annotated[Path, typer.Argument(help="Cache of text that the target wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for the topologies (JSON) and the table.")],
    rule: Annotated[
        str, typer.Option(help="Rule of one position, used node by node.")
    ] = "rrs_without_replacement",
    sampling: Annotated[
        str | None, typer.Option(help="Law of a node's list; by default that of the rule.")
    ] = None,
    draft: Annotated[
        str | None, typer.Option(help="Draft model; needed if the cache has several.")
    ] = None,
    budget: Annotated[str, typer.Option(help="Nodes of the tree, as in 4,8,25.")] = "4,8,16,32",
    max_depth: Annotated[int, typer.Option(help="Tokens of the longest path.")] = 6,
    max_children: Annotated[int, typer.Option(help="Most children of a node.")] = 4,
    draft_temperature: Annotated[
        float | None, typer.Option(help="Of the draft; that of the text by default.")
    ] = None,
    draft_cost: Annotated[
        float | None, typer.Option(help="A draft step over a target call: adds the speed-up.")
    ] = None,
    positions: Annotated[int, typer.Option(help="Positions of the text to measure at.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the drafted lists.")] = 0,
) -> None:
    """Search the tree topology with the largest accepted length for each budget of nodes.

    Acceptance by slot is measured on the text and searched by dynamic program, first pooled, then
    weighted by depth under what was found; both are evaluated again on the text, where no
    assumption about slots is made.
    """
    from mdbound.analysis.serving.engines import eagle_choices, sglang_tree
    from mdbound.analysis.solving.num_drafts import parse_num_drafts
    from mdbound.analysis.tables.files import write_table, write_text
    from mdbound.analysis.trees.topology_search.search_capture import (
        SearchSetting,
        search_capture,
    )
    from mdbound.analysis.trees.topology_search.search_table import search_table
    from mdbound.cli.progress_bar import progress_bar
    from mdbound.errors import InvalidSettingError
    from mdbound.logits_cache.store.cache import LogitsCache

    opened = LogitsCache.open(cache)
    if draft is None and len(opened.draft_names) != 1:
        raise InvalidSettingError(f"--draft: choose one of {', '.join(opened.draft_names)}")
    setting = SearchSetting(
        rule=rule,
        draft=draft or opened.draft_names[0],
        sampling=sampling,
        budgets=parse_num_drafts(budget),
        max_depth=max_depth,
        max_children=max_children,
        draft_temperature=draft_temperature,
        positions=positions,
        seed=seed,
    )
    with progress_bar("tree-search", "positions") as bar:
        found = search_capture(
            opened, setting, lambda step: bar.update(step.done, step.total, step.new)
        )
    notes = [
        f"Rule {rule}, lists drawn {setting.found_sampling()}; {found[0].pooled_value.starts} "
        f"starts at most; capture {opened.manifest.identity()}.",
        f"Written by: {command_line()}",
    ]
    table = search_table(found, draft_cost, notes)
    show_table(table, notes=False)
    files = write_table(table, out, "tree_search")
    for one in found:
        best = one.best[0]
        files += [
            write_text(out / f"nodes-{one.budget}.json", best.as_json() + "\n"),
            write_text(out / f"eagle-choices-{one.budget}.json", eagle_choices(best)),
            write_text(out / f"sglang-{one.budget}.txt", sglang_tree(best)),
        ]
    for file in files:
        typer.echo(f"wrote {file}")
