"""`mdbound info`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mdbound.logits_cache.store.cache import LogitsCache
    from mdbound.logits_cache.store.manifest import ModelRecord
    from mdbound.logits_cache.store.summary import CacheSummary


def register(app: typer.Typer) -> None:
    """Add `mdbound info` to the command line."""
    app.command("info", epilog="Example: mdbound info caches/smollm2")(info)


def info(
    cache: Annotated[Path, typer.Argument(help="Cache folder written by `capture`.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Summarise a capture: models, text, vocabulary, positions, entropies, acceptance."""
    import json

    from rich.console import Console

    from mdbound.cli.progress_bar import progress_bar
    from mdbound.logits_cache.store.cache import LogitsCache
    from mdbound.logits_cache.store.summary import summarise

    opened = LogitsCache.open(cache)
    with progress_bar("reading", "positions") as bar:
        summary = summarise(opened, lambda rows: bar.update(rows, opened.num_positions, rows))
    if as_json:
        typer.echo(json.dumps(_as_json(opened, summary), indent=2))
    else:
        _print_tables(opened, summary, Console())


def _as_json(cache: LogitsCache, summary: CacheSummary) -> dict[str, Any]:
    from dataclasses import asdict

    manifest = cache.manifest
    averages = {model.name: asdict(model) for model in summary.models}
    drawn = _drawn_paths(cache)
    return {
        "path": str(cache.path),
        "identity": manifest.identity(),
        "complete": manifest.complete,
        "vocab_size": manifest.vocab_size,
        "positions": cache.num_positions,
        "bytes_on_disk": cache.bytes_on_disk,
        "text": asdict(manifest.text),
        "generation": asdict(manifest.generation),
        "paths": [{"draft": name, "contexts": count} for name, (count, _) in drawn.items()],
        "masses_outside": [asdict(mass) for mass in manifest.masses_outside()],
        "tasks": [asdict(task) for task in summary.tasks],
        "models": [{**asdict(model), **averages[model.name]} for model in manifest.models()],
        "versions": manifest.versions,
    }


def _print_tables(cache: LogitsCache, summary: CacheSummary, console: Console) -> None:
    from mdbound.cli.capture_solve import mass_lines
    from mdbound.cli.probe_table import model_notes, probe_table

    for name, value in _facts(cache):
        # No markup, and no wrapping of paths: the lines are for reading and for grep.
        console.print(f"{name:<12}{value}", markup=False, highlight=False, soft_wrap=True)
    console.print(_task_table(summary))
    console.print(_model_table(cache, summary))
    records = cache.manifest.models()
    console.print(probe_table(records))
    for note in model_notes(records):
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    for mass in cache.manifest.masses_outside():
        for line in mass_lines(mass):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    if not cache.manifest.complete:
        console.print("Not complete: run the same capture again to finish it.", markup=False)


def _facts(cache: LogitsCache) -> list[tuple[str, str]]:
    from mdbound.cli.progress_bar import human_size

    manifest, generation = cache.manifest, cache.manifest.generation
    drawn = _drawn_paths(cache)
    rows = cache.num_positions * (1 + len(cache.draft_names))
    raw = 4 * cache.vocab_size * (rows + sum(along for _, along in drawn.values()))
    ratio = f" ({raw / cache.bytes_on_disk:.1f} times smaller than raw)" if raw else ""
    mode = generation.mode
    if generation.warpers is not None:
        template = "chat template" if generation.chat_template else "no chat template"
        mode += (
            f" at temperature {generation.warpers['temperature']:g}, up to "
            f"{generation.max_new_tokens} tokens, {template}, seed {generation.seed}"
        )
    return [
        ("cache", str(cache.path)),
        ("identity", manifest.identity()[:16]),
        ("text", f"{manifest.text.source} ({manifest.text.documents} documents)"),
        ("mode", mode),
        ("vocabulary", f"{cache.vocab_size:,} tokens"),
        ("positions", f"{cache.num_positions:,} in {len(cache.shards)} shards"),
        *_path_facts(cache, drawn),
        ("size", human_size(cache.bytes_on_disk) + ratio),
    ]


def _drawn_paths(cache: LogitsCache) -> dict[str, tuple[int, int]]:
    """By draft that drew paths, at how many contexts, and rows of logits along the paths."""
    drawn = {}
    for name in cache.path_draft_names:
        contexts = [each for shard in cache.shards for each in cache.read_path_nodes(shard, name)]
        rows = sum(len(each.target_nodes) + len(each.draft_nodes) for each in contexts)
        places = {(each.doc_id, each.position) for each in contexts}
        drawn[name] = len(places), rows
    return drawn


def _path_facts(cache: LogitsCache, drawn: dict[str, tuple[int, int]]) -> list[tuple[str, str]]:
    paths = cache.manifest.generation.paths
    if paths is None:
        return []
    name_of = "paths" if paths.draws_paths else "trees"
    asked = paths.law().title()
    return [
        (name_of, f"{asked} at {contexts:,} contexts, by {name}")
        for name, (contexts, _) in drawn.items()
    ]


def _task_table(summary: CacheSummary) -> Table:
    from rich.table import Table

    table = Table("task", title="Positions", title_justify="left")
    table.add_column("documents", justify="right")
    table.add_column("positions", justify="right")
    for task in summary.tasks:
        table.add_row(task.task, f"{task.documents:,}", f"{task.positions:,}")
    return table


def _model_table(cache: LogitsCache, summary: CacheSummary) -> Table:
    from rich.table import Table

    table = Table(title="Models (temperature 1, entropy in nats)", title_justify="left")
    table.add_column("model", no_wrap=True)
    for name in ("source", "dtype"):
        table.add_column(name, overflow="fold")
    for name in ("logits", "entropy", "acceptance"):
        table.add_column(name, justify="right", no_wrap=True)
    for record, model in zip(cache.manifest.models(), summary.models, strict=True):
        accepted = "" if model.acceptance is None else f"{model.acceptance:.4f}"
        if model.standard_error is not None:
            accepted += f" ± {model.standard_error:.4f}"
        table.add_row(
            record.name, _source(record), record.dtype,
            f"{record.logits_width:,}", f"{model.entropy:.4f}", accepted,
        )  # fmt: skip
    return table


def _source(record: ModelRecord) -> str:
    if record.skipped_layers:
        return f"target without layers {', '.join(str(layer) for layer in record.skipped_layers)}"
    return Path(record.source).name if record.kind in {"gguf", "folder"} else record.source
