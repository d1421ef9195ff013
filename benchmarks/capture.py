"""`mdbound capture` against what the models themselves cost.

    python -m benchmarks.capture MODEL.gguf

The models' own cost is that of a script that loads a model and its tokenizer once, lets it
`generate` answers, and runs a draft, the model without two layers, once over prompts and answers.
`capture` does the same, and also reads the answers with the target, probes both models and writes
all logits. Each side is a process of its own, on one thread; they alternate, and CPU times are
compared, of which the fastest run counts.

    python -m benchmarks.capture MODEL.gguf --probe

What probes take of a capture of 1,000 positions, in one process; with `--steps`, what decoding
takes of the library's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.side_by_side import environment

PROMPTS = Path(__file__).parents[1] / "examples" / "prompts.jsonl"
LAYERS = (14, 20)


def settings(model: Path, out: Path, documents: int, tokens: int) -> Any:
    """The capture: answers of a model, with the model without two layers as its draft."""
    from mdbound.logits_cache import CaptureSettings

    return CaptureSettings(
        target=str(model),
        text=(str(PROMPTS),),
        out=out,
        skip_layers=(LAYERS,),
        mode="generate",
        limit=documents,
        max_new_tokens=tokens,
        batch_size=8,
        device="cpu",
    )


def run_capture(model: Path, documents: int, tokens: int) -> dict[str, Any]:
    """Capture into a folder that is thrown away."""
    from mdbound.logits_cache import capture

    loaded: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        summary = capture(
            settings(model, Path(folder) / "cache", documents, tokens),
            lambda _: loaded.append(time.process_time()),
        )
    return {"positions": summary.positions, "loaded": loaded[0]}


def run_models(model: Path, documents: int, tokens: int) -> dict[str, Any]:
    """The models alone, as one would write it with transformers."""
    import copy

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    files: dict[str, Any] = {"gguf_file": model.name}
    tokenizer = AutoTokenizer.from_pretrained(str(model.parent), padding_side="left", **files)
    network = AutoModelForCausalLM.from_pretrained(
        str(model.parent), dtype=torch.float32, **files
    ).eval()
    loaded = time.process_time()
    lines = PROMPTS.read_text(encoding="utf-8").splitlines()[:documents]
    chats = [[{"role": "user", "content": json.loads(line)["prompt"]}] for line in lines]
    prompts = tokenizer.apply_chat_template(
        chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    with torch.inference_mode():
        answers = network.generate(
            **prompts, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=True,
            temperature=1.0, top_k=0, pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        draft = copy.deepcopy(network, {id(weight): weight for weight in network.parameters()})
        for layer in sorted(LAYERS, reverse=True):
            del draft.model.layers[layer]
        mask = torch.cat([prompts["attention_mask"], torch.ones_like(answers[:, -tokens:])], dim=1)
        output = draft(answers, attention_mask=mask, logits_to_keep=tokens + 1, use_cache=False)
    return {"positions": output.logits[:, :-1].shape[:2].numel(), "loaded": loaded}


SIDES = {"capture": run_capture, "models": run_models}


def measure_side(side: str, arguments: argparse.Namespace) -> None:
    """Run one side in this process and print what it took."""
    found = SIDES[side](arguments.model.resolve(), arguments.documents, arguments.tokens)
    print(json.dumps({**found, "cpu": time.process_time()}))


def side_process(side: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one side in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.capture", str(arguments.model), "--side", side]
    sizes = ["--documents", str(arguments.documents), "--tokens", str(arguments.tokens)]
    # One thread: on a busy machine threads wait for each other longer than they compute.
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(
        [*command, *sizes], env=alone, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Both sides in turn."""
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for _ in range(arguments.repeats):
        for side in SIDES:
            runs[side].append(side_process(side, arguments))
    least = {side: min(run["cpu"] for run in found) for side, found in runs.items()}
    running = {
        side: min(run["cpu"] - run["loaded"] for run in found) for side, found in runs.items()
    }
    ratio = least["capture"] / least["models"]
    after = running["capture"] / running["models"]
    positions = {side: found[0]["positions"] for side, found in runs.items()}
    print(
        f"{arguments.documents} prompts, {arguments.tokens} tokens, one draft: models alone "
        f"{least['models']:.1f} CPU s ({positions['models']} positions), capture "
        f"{least['capture']:.1f} ({positions['capture']}): {ratio:.2f} times; after loading "
        f"{running['models']:.1f} and {running['capture']:.1f}: {after:.2f} times"
    )
    return {"runs": runs, "ratio": ratio, "ratio_after_loading": after}


def measure_steps(arguments: argparse.Namespace) -> dict[str, Any]:
    """CPU time of our decoding over that of the library's, in turn, on the same batch."""
    import torch

    from mdbound.bounds import Warpers
    from mdbound.logits_cache.capturing.generate import AnswerSampling, answer_prompts
    from mdbound.logits_cache.capturing.plan import plan_capture
    from mdbound.logits_cache.models.weights import load_target
    from mdbound.logits_cache.text.passages import pad_batch

    torch.set_num_threads(1)
    tokens = arguments.tokens
    plan = plan_capture(settings(arguments.model, Path("unused"), arguments.documents, tokens))
    target = load_target(plan.models, plan.manifest.vocab_size)
    ids = [item.token_ids for item in plan.passages]
    batch = pad_batch(ids, [len(row) - 1 for row in ids], target.pad_id, "cpu")
    times: dict[str, list[float]] = {"ours": [], "library": []}
    for seed in range(arguments.repeats):
        started = time.process_time()
        answers = answer_prompts(target, plan.passages, AnswerSampling(Warpers(), tokens, seed))
        assert max(item.rows for item in answers) == tokens, "all ended early: ask for less tokens"
        times["ours"].append(time.process_time() - started)
        started = time.process_time()
        with torch.inference_mode():
            target.network.generate(
                input_ids=batch.input_ids, attention_mask=batch.attention_mask, do_sample=True,
                max_new_tokens=tokens, min_new_tokens=tokens, temperature=1.0, top_k=0,
                pad_token_id=target.pad_id,
            )  # fmt: skip
        times["library"].append(time.process_time() - started)
    ratio = min(times["ours"]) / min(times["library"])
    print(
        f"{tokens} steps of {len(ids)} sequences: ours {min(times['ours']):.2f} CPU s, the "
        f"library's {min(times['library']):.2f}: {ratio:.2f} times"
    )
    return {"times": times, "ratio": ratio}


def measure_probe(arguments: argparse.Namespace) -> dict[str, Any]:
    """CPU time of all probes over that of the capture they are part of."""
    import torch

    from mdbound.logits_cache import capture
    from mdbound.logits_cache.models import weights

    torch.set_num_threads(1)

    plain, taken = weights.probe_network, 0.0

    def timed(*args: Any, **options: Any) -> Any:
        nonlocal taken
        started = time.process_time()
        found = plain(*args, **options)
        taken += time.process_time() - started
        return found

    weights.probe_network = timed
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        summary = capture(settings(arguments.model, Path(folder) / "cache", 16, 66))
        whole = time.process_time() - started
    print(
        f"{summary.positions} positions, target and draft: probes {taken:.2f} of {whole:.1f} "
        f"CPU s, {taken / whole:.2%}"
    )
    return {"positions": summary.positions, "probe_cpu": taken, "capture_cpu": whole}


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--documents", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--probe", action="store_true")
    parser.add_argument("--steps", action="store_true")
    parser.add_argument("--side", choices=sorted(SIDES))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.side:
        measure_side(arguments.side, arguments)
        return
    chosen = {"probe": measure_probe, "steps": measure_steps}
    asked = [name for name in chosen if getattr(arguments, name)]
    found = chosen[asked[0]](arguments) if asked else compare(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps({"environment": environment(), **found}))


if __name__ == "__main__":
    main()
