"""`mdbound capture`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdbound.logits_cache.capturing.progress import CaptureSummary, ProgressCallback
    from mdbound.logits_cache.capturing.settings import CaptureSettings

_EXAMPLE = (
    "Example: mdbound capture --target tiny:target --draft tiny:draft "
    "--text python-docs:held-out --max-positions 64 --out caches/tiny"
)
_MODELS = "Models"
_TEXT = "Text"
_ANSWERS = "Answers (generate mode)"
_RUNNING = "Running"
_SOLVING = "Solving (with --solve)"


def register(app: typer.Typer) -> None:
    """Add `mdbound capture` to the command line."""
    app.command("capture", epilog=_EXAMPLE)(capture)


def capture(
    target: Annotated[
        str | None,
        typer.Option(
            help="Target model: hub id, folder, .gguf file or tiny:target. With --into, it "
            "confirms the cache's own.",
            rich_help_panel=_MODELS,
        ),
    ] = None,
    draft: Annotated[
        list[str] | None,
        typer.Option(help="Draft model, likewise; may be repeated.", rich_help_panel=_MODELS),
    ] = None,
    draft_skip_layers: Annotated[
        list[str] | None,
        typer.Option(
            help="Draft made of the target without these decoder layers (14,20, counted from 0); "
            "may be repeated.",
            rich_help_panel=_MODELS,
        ),
    ] = None,
    align_vocabulary: Annotated[
        str | None,
        typer.Option(
            help="prefix: of two models one has further tokens at the end, which have no "
            "probability on the other side.",
            rich_help_panel=_MODELS,
        ),
    ] = None,
    draft_vocabulary: Annotated[
        list[str] | None,
        typer.Option(
            help="Tokens that a draft with a pruned vocabulary puts out: .safetensors with d2t, or "
            ".json or .npy with the target's token ids. Once for each draft; none if it has all.",
            rich_help_panel=_MODELS,
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            help="Text file, records (.jsonl, .json, .csv, .tsv, .parquet), "
            "hub:NAME[:CONFIG[:SPLIT]], or python-docs[:held-out]; may be repeated.",
            rich_help_panel=_TEXT,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Cache folder to write, or to resume.")] = None,
    into: Annotated[
        Path | None, typer.Option(help="Existing cache to add drafts to, instead of --out.")
    ] = None,
    solve: Annotated[
        Path | None,
        typer.Option(
            help="Results file (Parquet) to write, instead of --out: positions are solved as they "
            "are captured, and no logits are kept."
        ),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            help="score: every position of the text. generate: the target's answers to prompts.",
            rich_help_panel=_TEXT,
        ),
    ] = "score",
    field: Annotated[
        str | None,
        typer.Option(
            help="Field of records with the text or conversation. Default: the first of turns, "
            "prompt, messages, conversations, conversation, text and question.",
            rich_help_panel=_TEXT,
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="Only these tasks (comma-separated).", rich_help_panel=_TEXT),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Most documents.", rich_help_panel=_TEXT)
    ] = None,
    limit_per_task: Annotated[
        int | None, typer.Option(help="Most documents of each task.", rich_help_panel=_TEXT)
    ] = None,
    max_positions: Annotated[
        int | None, typer.Option(help="Most positions per document.", rich_help_panel=_TEXT)
    ] = None,
    max_context: Annotated[
        int | None,
        typer.Option(
            help="Longest context in tokens; longer texts are scored in windows of it. "
            "Default: 1024 for score, the models' own for generate.",
            rich_help_panel=_TEXT,
        ),
    ] = None,
    window_bos: Annotated[
        bool,
        typer.Option(
            help="Begin later windows of a text with the beginning token where the first has it.",
            rich_help_panel=_TEXT,
        ),
    ] = True,
    temperature: Annotated[
        float | None,
        typer.Option(
            help="Sampling temperature, 0 for the most likely token. Default: 1.",
            rich_help_panel=_ANSWERS,
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(help="Sample from the most likely tokens only.", rich_help_panel=_ANSWERS),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(help="Sample from this nucleus mass only.", rich_help_panel=_ANSWERS),
    ] = None,
    min_p: Annotated[
        float | None,
        typer.Option(
            help="Sample only tokens at least this times as likely as the likeliest.",
            rich_help_panel=_ANSWERS,
        ),
    ] = None,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(help="Longest answer in tokens. Default: 128.", rich_help_panel=_ANSWERS),
    ] = None,
    chat_template: Annotated[
        bool | None,
        typer.Option(
            help="Put prompts into the tokenizer's chat template. Default: if it has one.",
            rich_help_panel=_ANSWERS,
        ),
    ] = None,
    system: Annotated[
        str | None,
        typer.Option(
            help="System prompt of conversations that have none of their own.",
            rich_help_panel=_ANSWERS,
        ),
    ] = None,
    turns: Annotated[
        int | None,
        typer.Option(
            help="Most turns of the user asked in a conversation. Default: all.",
            rich_help_panel=_ANSWERS,
        ),
    ] = None,
    history: Annotated[
        str,
        typer.Option(
            help="given: answers in the text stay, the target answers the turns without one and "
            "the last. target: it answers every turn.",
            rich_help_panel=_ANSWERS,
        ),
    ] = "given",
    paths: Annotated[
        int | None,
        typer.Option(
            help="Paths that each draft draws at contexts of the answers, sampled as these are; "
            "both models' logits along them are kept. Needs --length.",
            rich_help_panel=_ANSWERS,
        ),
    ] = None,
    length: Annotated[
        int | None, typer.Option(help="Tokens of a path.", rich_help_panel=_ANSWERS)
    ] = None,
    tree: Annotated[
        str | None,
        typer.Option(
            help="Trees that each draft draws in place of paths: 2x4, eagle_sparse_25, a JSON "
            "file of nodes, eagle-2, likeliest-TOTAL-DEPTH-WIDTH, delayed-paths-K-L1-L2.",
            rich_help_panel=_ANSWERS,
        ),
    ] = None,
    tree_sampling: Annotated[
        str | None,
        typer.Option(
            help="How a node's children are drawn: without_replacement (default), "
            "with_replacement, greedy, top_k.",
            rich_help_panel=_ANSWERS,
        ),
    ] = None,
    trees_per_context: Annotated[
        int | None,
        typer.Option(
            help="Trees at a context, independent of each other. Default: 1.",
            rich_help_panel=_ANSWERS,
        ),
    ] = None,
    path_contexts: Annotated[
        int | None,
        typer.Option(
            help="Contexts of each answer at which paths or trees are drawn. Default: 8.",
            rich_help_panel=_ANSWERS,
        ),
    ] = None,
    path_every: Annotated[
        int | None,
        typer.Option(
            help="Paths or trees at every n-th position of each answer, in place of "
            "--path-contexts.",
            rich_help_panel=_ANSWERS,
        ),
    ] = None,
    path_temperature: Annotated[
        str | None,
        typer.Option(
            help="Temperature of the drafts where paths or trees are drawn, or one for each path: "
            "1.2,1.6. Default: that of the answers.",
            rich_help_panel=_ANSWERS,
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            help="Seed of the answers' sampling, and of paths'.", rich_help_panel=_ANSWERS
        ),
    ] = 0,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, ...", rich_help_panel=_RUNNING)
    ] = "auto",
    dtype: Annotated[
        str,
        typer.Option(help="auto, float32, bfloat16 or float16.", rich_help_panel=_RUNNING),
    ] = "auto",
    batch_size: Annotated[
        int,
        typer.Option(
            help="Documents per forward pass, and contexts that drafts draw from together.",
            rich_help_panel=_RUNNING,
        ),
    ] = 8,
    shard_rows: Annotated[
        int | None,
        typer.Option(
            help="Positions per shard, the most that an interruption costs. "
            "Default: about 256 MiB of logits.",
            rich_help_panel=_RUNNING,
        ),
    ] = None,
    trust_remote_code: Annotated[
        bool,
        typer.Option(
            "--trust-remote-code",
            help="Let code that lies in a model's folder run. Read it first.",
            rich_help_panel=_MODELS,
        ),
    ] = False,
    num_drafts: Annotated[
        str | None,
        typer.Option(
            help="Drafted tokens n, as in 1-8 or 1,2,4. Default: 1-8.", rich_help_panel=_SOLVING
        ),
    ] = None,
    sampling: Annotated[
        list[str] | None,
        typer.Option(
            help="Draft laws, as in `mdbound solve`. Default: with_replacement,"
            "without_replacement.",
            rich_help_panel=_SOLVING,
        ),
    ] = None,
    solve_temperature: Annotated[
        list[str] | None,
        typer.Option(
            help="Target temperatures of the bounds. Default: 1.", rich_help_panel=_SOLVING
        ),
    ] = None,
    solve_draft_temperature: Annotated[
        list[str] | None,
        typer.Option(
            help="Draft temperatures of the bounds; the target's when left out.",
            rich_help_panel=_SOLVING,
        ),
    ] = None,
    solve_top_k: Annotated[
        list[str] | None,
        typer.Option(
            help="Most likely tokens kept of target and draft, or none. Default: none.",
            rich_help_panel=_SOLVING,
        ),
    ] = None,
    solve_top_p: Annotated[
        list[str] | None,
        typer.Option(
            help="Nucleus mass kept of target and draft, or none. Default: none.",
            rich_help_panel=_SOLVING,
        ),
    ] = None,
    solve_min_p: Annotated[
        list[str] | None,
        typer.Option(
            help="Least share of the likeliest token's probability, of target and draft, or none. "
            "Default: none.",
            rich_help_panel=_SOLVING,
        ),
    ] = None,
) -> None:
    """Record the raw logits of a target and its drafts on real text, into a cache.

    The same command again resumes an interrupted capture. With --into, drafts are added to a
    finished one, and only models and running options apply. With --paths, each draft draws paths
    of --length tokens at contexts of the answers, and these are kept as well. With --solve,
    bounds are written and no logits: the file that `mdbound solve` would make of the cache,
    without the cache.
    """
    from mdbound.cli.capture_solve import SolveOptions, capture_and_solve
    from mdbound.cli.parsing import parse_floats, parse_layers
    from mdbound.errors import InvalidSettingError
    from mdbound.logits_cache.capturing.add_drafts import add_drafts
    from mdbound.logits_cache.capturing.capture import capture as run_capture
    from mdbound.logits_cache.capturing.settings import CaptureSettings

    solving = SolveOptions(
        num_drafts,
        sampling or (),
        solve_temperature or (),
        solve_draft_temperature or (),
        solve_top_k or (),
        solve_top_p or (),
        solve_min_p or (),
    )
    if solve is None:
        solving.refuse()
    elif out is not None or into is not None:
        raise InvalidSettingError(
            f"--solve {solve} writes results and no logits; give it without --out and --into"
        )
    skip_layers = tuple(parse_layers(layers) for layers in draft_skip_layers or ())
    if into is not None:
        fixed = (out, text, field, task, limit, limit_per_task, max_positions)
        answers = (max_context, temperature, top_k, top_p, min_p, max_new_tokens, chat_template)
        talks = (system, turns, None if history == "given" else history)
        windows = (shard_rows, None if window_bos else window_bos)
        drawn = (paths, length, tree, tree_sampling, trees_per_context)
        drawn_at = (path_contexts, path_every, path_temperature)
        given = (*fixed, *answers, *talks, *windows, *drawn, *drawn_at)
        if any(option is not None for option in given):
            raise InvalidSettingError(
                "--into adds drafts to what the cache holds; give it with --target, --draft, "
                "--draft-skip-layers, --trust-remote-code, --align-vocabulary, "
                "--draft-vocabulary, --device, --dtype and --batch-size alone"
            )
        cache, drafts = into, tuple(draft or ())
        _run(
            lambda on_progress: add_drafts(
                cache,
                drafts,
                skip_layers,
                target=target,
                trust_remote_code=trust_remote_code,
                align_vocabulary=align_vocabulary,
                draft_vocabulary=tuple(draft_vocabulary or ()),
                device=device,
                dtype=dtype,
                batch_size=batch_size,
                on_progress=on_progress,
            )
        )
        return
    place = out or solve
    if target is None or place is None:
        missing = "--target" if target is None else "--out"
        raise InvalidSettingError(f"{missing} is missing; give --target, --draft, --text and --out")
    settings = CaptureSettings(
        target=target,
        text=tuple(text or ()),
        out=place,
        drafts=tuple(draft or ()),
        skip_layers=skip_layers,
        align_vocabulary=align_vocabulary,
        draft_vocabulary=tuple(draft_vocabulary or ()),
        mode=mode,
        field=field,
        tasks=tuple(part.strip() for part in task.split(",")) if task else (),
        limit=limit,
        limit_per_task=limit_per_task,
        max_positions=max_positions,
        window_bos=window_bos,
        max_context=max_context,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        chat_template=chat_template,
        system=system,
        turns=turns,
        history=history,
        paths=paths,
        length=length,
        tree=tree,
        tree_sampling=tree_sampling,
        trees_per_context=trees_per_context,
        path_contexts=path_contexts,
        path_every=path_every,
        path_temperatures=parse_floats([path_temperature or ""], "--path-temperature"),
        seed=seed,
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        shard_rows=shard_rows,
        trust_remote_code=trust_remote_code,
    )
    if solve is not None:
        capture_and_solve(settings, solving, solve)
        return
    _say_what_needs_no_trees(settings)
    _run(lambda on_progress: run_capture(settings, on_progress))


def _say_what_needs_no_trees(settings: CaptureSettings) -> None:
    """Before hours of capture: what the text alone says of full trees."""
    from mdbound.trees import Branching, full

    law = settings.tree_law()
    if not isinstance(law, Branching):
        return
    path = [(0,) * depth for depth in range(law.depth)]
    if law.children == full([law.children.num_children(slot) for slot in path]):
        typer.echo(
            "note: full trees verified node by node need no captured trees; `mdbound paths` has "
            "them from the text alone. Traversal and UniVer do need these",
            err=True,
        )


def _run(action: Callable[[ProgressCallback], CaptureSummary]) -> None:
    """Show a bar while `action` runs, and a line when it is done."""
    from mdbound.cli.progress_bar import progress_bar

    try:
        with progress_bar("capture", "positions") as bar:
            summary = action(
                lambda step: bar.update(step.passages, step.total_passages, step.new_positions)
            )
    except KeyboardInterrupt as error:
        # Typer would turn it into a bare exit status, without a word about resuming.
        raise typer.Abort from error
    _print_summary(summary)


def _print_summary(summary: CaptureSummary) -> None:
    from mdbound.cli.capture_solve import print_notes
    from mdbound.cli.progress_bar import human_size

    speed = "nothing left to do"
    if summary.new_positions:
        speed = f"{summary.new_positions / summary.seconds:,.1f} positions/s"
    typer.echo(
        f"{summary.cache}: {summary.positions:,} positions, "
        f"{human_size(summary.bytes_on_disk)} on disk, {speed}"
    )
    print_notes(summary.turns_left_out, summary.masses_outside)
