"""Hu and Huang 2024, and Sun et al. 2024: one drafted path, token by token and as a block."""

from __future__ import annotations

from mdbound.analysis.paths.path_setting import PathGrid
from mdbound.analysis.recipes.recipe import ModelPair, PathExperiment, Recipe

_SAME_LAW = (
    "ASpS and block verification have one law of (accepted length, next token) given the path "
    "(theorem T1 of docs/tokens-per-call.md), so one line stands for both."
)
_EXACT = (
    "Calls are expected values over drafts and verification, given each text; the paper counts "
    "accepted tokens of runs."
)

ASPS = Recipe(
    name="hu2024-asps",
    summary="tokens per call against the number of reference tokens, SpS against ASpS",
    title="Hu and Huang 2024: accepted tokens against reference tokens",
    citation=(
        "Z. Hu and H. Huang, Accelerated Speculative Sampling Based on Tree Monte Carlo, "
        "ICML 2024, https://proceedings.mlr.press/v235/hu24f.html"
    ),
    setup=(
        ("models", "LLaMA 7B, draft LLaMA 68M"),
        ("text", "WMT16 translation"),
        ("drafted tokens", "1 to 10 reference tokens"),
        (
            "reported",
            "ASpS 0.9 % to 14.3 % more accepted tokens than SpS for 2 to 10 reference tokens, the "
            "same for one; as quoted by others, the tables of the paper were not at hand",
        ),
    ),
    differences=(_SAME_LAW, _EXACT),
    experiment=PathExperiment(
        pairs=(ModelPair("llama-7b", "huggyllama/llama-7b", ("JackFram/llama-68m",), hub=True),),
        text="WMT16 German to English prompts",
        documents_per_task=1000,
        new_tokens=128,
        temperature=1.0,
        grid=PathGrid(tuple(range(1, 11)), ("single_draft", "asps", "joint")),
        prompts="translation.jsonl",
    ),
)

BLOCK = Recipe(
    name="sun2024-block",
    summary="tokens per call of block verification against token by token, lengths 4, 6, 8",
    title="Sun et al. 2024: block verification",
    citation=(
        "Z. Sun et al., Block Verification Accelerates Speculative Decoding, "
        "https://arxiv.org/abs/2403.10444"
    ),
    setup=(
        ("models", "PaLM 2 S, draft PaLM 2 XXS (closed)"),
        ("text", "eight sets of prompts, LM1B to WMT German to English"),
        ("drafted tokens", "4, 6 and 8"),
        (
            "reported",
            "block efficiency, mean of the sets, token by token and block: 2.89 and 2.99 at 4, "
            "3.23 and 3.43 at 6, 3.41 and 3.70 at 8 (version 2, as quoted by others)",
        ),
    ),
    differences=(_EXACT, "The models are closed: the order and the gaps can be compared."),
    experiment=PathExperiment(
        pairs=(ModelPair("vicuna-7b", "lmsys/vicuna-7b-v1.3", ("JackFram/llama-68m",), hub=True),),
        text="prompts",
        documents_per_task=100,
        new_tokens=128,
        temperature=1.0,
        grid=PathGrid((4, 6, 8), ("single_draft", "block", "joint")),
    ),
)
