"""Log-probabilities for `mdbound paths --logprobs`, from llama.cpp through llama-cpp-python.

    python logprobs_llama_cpp.py --target big.gguf --draft small.gguf \
        --prompts prompts.txt --out logprobs.jsonl

The target answers at temperature 1 without cuts, then the draft reads the same token ids; both
files need one vocabulary. Log-probabilities are of the raw logits, which is the law that tokens
were sampled from at that temperature alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
from llama_cpp import Llama


def answer(model: Llama, prompt: list[int], tokens: int) -> tuple[list[int], str]:
    """The target's answer, its end token included, and why it ended."""
    drawn = model.generate(prompt, temp=1.0, top_k=0, top_p=1.0, min_p=0.0, repeat_penalty=1.0)
    found: list[int] = []
    for token in itertools.islice(drawn, tokens):
        found.append(int(token))
        if token == model.token_eos():
            return found, "stop"
    return found, "length"


def scores(model: Llama, prompt: list[int], text: list[int]) -> list[float]:
    """Log-probability of every token of a text, given what stands before it."""
    model.reset()
    model.eval(prompt + text)
    logits = np.array(model.scores[len(prompt) - 1 : len(prompt) + len(text) - 1], dtype=np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    logprobs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return logprobs[np.arange(len(text)), text].tolist()


def main() -> None:
    """Write a line for each prompt."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", required=True)
    parser.add_argument("--draft", required=True)
    parser.add_argument("--prompts", type=Path, required=True, help="a prompt a line")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    # logits_all: the logits of every position, not of the last one alone.
    target, draft = (
        Llama(model_path=file, n_ctx=2048, logits_all=True, seed=0, verbose=False)
        for file in (options.target, options.draft)
    )
    with options.out.open("w", encoding="utf-8") as file:
        for number, prompt in enumerate(options.prompts.read_text("utf-8").splitlines()):
            tokens = target.tokenize(prompt.encode())
            text, ended = answer(target, tokens, options.tokens)
            line = {
                "id": str(number),
                "target_logprobs": scores(target, tokens, text),
                "draft_logprobs": scores(draft, tokens, text),
                "finish_reason": ended,
            }
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
