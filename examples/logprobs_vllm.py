"""Log-probabilities for `mdbound paths --logprobs`, from vLLM: the target answers, both score.

    python logprobs_vllm.py --target meta-llama/Llama-3.1-8B-Instruct \
        --draft meta-llama/Llama-3.2-1B-Instruct --prompts prompts.txt --out logprobs.jsonl

One model is in memory at a time. Tokens are sampled at temperature 1 without cuts, so that the raw
log-probabilities that vLLM returns are those that tokens were sampled from. At another temperature
they are not: divide logits, not log-probabilities, and use `mdbound capture`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from vllm import LLM, SamplingParams


def answers(model: str, prompts: list[str], tokens: int) -> list[dict]:
    """Token ids and finish reason of the target's answer to each prompt."""
    sampling = SamplingParams(temperature=1.0, top_p=1.0, top_k=-1, max_tokens=tokens, seed=0)
    found = LLM(model).generate(prompts, sampling)
    return [
        {
            "id": str(number),
            "prompt": list(each.prompt_token_ids),
            "answer": list(each.outputs[0].token_ids),
            "finish_reason": each.outputs[0].finish_reason,
        }
        for number, each in enumerate(found)
    ]


def scores(model: str, texts: list[dict]) -> list[list[float]]:
    """Log-probability of every token of the answers, given what stands before it."""
    sampling = SamplingParams(max_tokens=1, prompt_logprobs=0)
    whole = [{"prompt_token_ids": text["prompt"] + text["answer"]} for text in texts]
    found = LLM(model).generate(whole, sampling)
    return [
        [
            place[token].logprob
            for place, token in zip(
                each.prompt_logprobs[len(text["prompt"]) :], text["answer"], strict=True
            )
        ]
        for each, text in zip(found, texts, strict=True)
    ]


def main() -> None:
    """Write a line for each prompt."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", required=True)
    parser.add_argument("--draft", required=True)
    parser.add_argument("--prompts", type=Path, required=True, help="a prompt a line")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    prompts = options.prompts.read_text(encoding="utf-8").splitlines()
    texts = answers(options.target, prompts, options.tokens)
    # Both models score the same token ids: what was sampled is not tokenized again.
    of_target, of_draft = scores(options.target, texts), scores(options.draft, texts)
    with options.out.open("w", encoding="utf-8") as file:
        for text, target, draft in zip(texts, of_target, of_draft, strict=True):
            line = {
                "id": text["id"],
                "target_logprobs": target,
                "draft_logprobs": draft,
                "finish_reason": text["finish_reason"],
            }
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
