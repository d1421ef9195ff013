"""Papers on draft trees: full trees from the text alone, and several paths from drafted ones."""

from __future__ import annotations

from mdbound.analysis.paths.path_setting import PathGrid
from mdbound.analysis.recipes.recipe import (
    DraftedTrees,
    ModelPair,
    PathExperiment,
    Recipe,
    TreeExperiment,
)
from mdbound.analysis.trees.tree_grid import PathsShape, TreeGrid

_EXPECTED = "Coins are summed over: expected lengths given each tree, not counts of runs."
_POSITIONS = (
    "E tau is a mean over contexts along the text, and the bonus token is not counted; block "
    "efficiency is 1 more, and a mean over calls, which start more often where drafting is bad."
)
_BOUND = (
    "The bound by depth holds for every verifier; the optimum over all verifiers of one call lies "
    "below it (theorem D5 of docs/draft-trees.md)."
)
_LLAMA = ModelPair("llama-7b", "huggyllama/llama-7b", ("JackFram/llama-68m",), hub=True)

HU_TREES = Recipe(
    name="hu2025-trees",
    summary="tokens per call of full trees 2x4 and 4x3, node by node, and the optimum per node",
    title="Hu et al. 2025: draft trees 2x4 and 4x3",
    citation=(
        "Z. Hu et al., Towards Optimal Multi-draft Speculative Decoding, ICLR 2025, "
        "https://arxiv.org/abs/2502.18779"
    ),
    setup=(
        ("models", "LLaMA 7B and 68M, Vicuna 7B and Qwen2 7B with EAGLE drafts"),
        ("text", "MT-Bench"),
        ("trees", "2x4 (30 nodes), 4x3 (84 nodes) and EAGLE's sparse tree (25 nodes)"),
        ("temperature", "0.7"),
    ),
    differences=(
        "Children of full trees are drawn independently at each node, so that the target's text "
        "says it all and no tree is drafted: children n and depth L stand for n x L.",
        "EAGLE's sparse tree, whose slots are unequal, is drafted at contexts of the text, "
        "children without replacement: E tau there is a mean over positions, and the bonus token "
        "is not counted.",
        "Calls are expected values over drafts and verification, given each text.",
    ),
    experiment=PathExperiment(
        pairs=(_LLAMA,),
        text="MT-Bench prompts",
        documents_per_task=10,
        new_tokens=128,
        temperature=0.7,
        grid=PathGrid(
            (3, 4), ("nss", "rrs_with_replacement", "k_seq", "greedy", "optimal"), (2, 4)
        ),
        drafted=DraftedTrees(TreeGrid(), tree="eagle_sparse_25"),
    ),
)

KHISTI_BLOCKS = Recipe(
    name="khisti2025-block-efficiency",
    summary="accepted length of K = 2..6 i.i.d. paths of 5 tokens, every verifier and the bound",
    title="Khisti et al. 2025: block efficiency of K paths",
    citation=(
        "A. Khisti et al., Multi-Draft Speculative Sampling: Canonical Decomposition and "
        "Theoretical Limits, ICLR 2025, https://arxiv.org/abs/2410.18234"
    ),
    setup=(
        ("models", "OPT 6.7B, drafts OPT 350M"),
        ("text", "XSum, Dolly and WMT prompts"),
        ("drafts", "K paths of 5 tokens, verified node by node"),
        ("draft temperature", "1.2; of two that differ, 1.2 and up to 2.4"),
        (
            "reported",
            "block efficiency on Dolly, K = 2..6, about +-0.05: importance sampling 2.13, 2.22, "
            "2.26, 2.27, 2.28; SpecInfer 1.76, 1.86, 1.95, 2.00, 2.04; SpecTr 1.77, 1.89, 1.96, "
            "2.03, 2.08",
        ),
    ),
    differences=(
        "Two paths that differ are drawn at 1.2 and 1.6, from one draft; only rules for paths of "
        "several laws are run on them.",
        _EXPECTED,
        _POSITIONS,
        _BOUND,
    ),
    experiment=TreeExperiment(
        pairs=(ModelPair("opt-6.7b", "facebook/opt-6.7b", ("facebook/opt-350m",), hub=True),),
        text="XSum, Dolly and WMT prompts",
        documents_per_task=100,
        new_tokens=128,
        temperature=1.0,
        parts=(
            DraftedTrees(
                TreeGrid(shapes=tuple(PathsShape(k, 5) for k in range(2, 7))),
                "identical",
                paths=PathsShape(6, 5),
                temperatures=(1.2,),
            ),
            DraftedTrees(
                TreeGrid(("nss", "first_draft", "rrs_with_replacement", "block_first_path")),
                "different",
                paths=PathsShape(2, 5),
                temperatures=(1.2, 1.6),
            ),
        ),
    ),
)

TRAVERSAL = Recipe(
    name="traversal2025",
    summary="traversal verification on a chain, a binary and a sparse tree, and on several paths",
    title="Traversal verification",
    citation="https://arxiv.org/abs/2505.12398 (abstract and two ports of its algorithm read)",
    setup=(
        ("models", "not known to us"),
        ("trees", "chain, binary and EAGLE's sparse tree"),
        ("claimed", "above token-level verification; on a chain it is block verification"),
    ),
    differences=(
        "On a chain the two rows of block verification and traversal are the same number but for "
        "the estimate: their laws are equal (docs/tree-verifiers.md).",
        "Trees are unions of i.i.d. paths, the binary tree 2x4 and EAGLE's sparse tree, the "
        "children of both without replacement; the paper's sizes are not known to us.",
        _EXPECTED,
        _POSITIONS,
    ),
    experiment=TreeExperiment(
        pairs=(_LLAMA,),
        text="prompts",
        documents_per_task=80,
        new_tokens=128,
        temperature=1.0,
        parts=(
            DraftedTrees(
                TreeGrid(
                    ("rrs_with_replacement", "rrs_skip_repeats", "block_first_path", "traversal"),
                    tuple(PathsShape(k, 5) for k in (1, 2, 4)),
                ),
                "paths",
                paths=PathsShape(4, 5),
            ),
            DraftedTrees(TreeGrid(), "binary", tree="2x4"),
            DraftedTrees(TreeGrid(), "sparse", tree="eagle_sparse_25"),
        ),
    ),
)

DDTE = Recipe(
    name="ddte2026-table",
    summary="eight verifiers on the same K paths, the optimum per node and the bound beside them",
    title="Dynamic delayed tree expansion 2026: verifiers compared",
    citation=("Delayed tree expansion, https://arxiv.org/abs/2602.16994 (sections 1 to 5 read)"),
    setup=(
        ("models", "several pairs"),
        ("verifiers", "NSS, naive, naive tree, SpecTr, SpecInfer, Khisti, block, traversal"),
        (
            "reported",
            "block efficiency, averages: NSS 4.05, block verification 4.30, Khisti 4.41, naive "
            "tree 4.50, naive 4.52, SpecInfer 4.58, SpecTr 4.61, traversal 5.31 (as quoted)",
        ),
    ),
    differences=(
        "Block verification is never below token by token verification of the same path (theorem "
        "T3 of docs/tokens-per-call.md); averages in another order come of other paths or lengths.",
        _EXPECTED,
        _POSITIONS,
        _BOUND,
    ),
    experiment=TreeExperiment(
        pairs=(_LLAMA,),
        text="prompts",
        documents_per_task=80,
        new_tokens=128,
        temperature=1.0,
        parts=(
            DraftedTrees(
                TreeGrid(
                    (
                        *("nss", "first_draft", "rrs_with_replacement", "k_seq"),
                        *("optimal_per_node", "block_first_path", "gbv", "traversal", "quantile"),
                    ),
                    (PathsShape(2, 3), PathsShape(3, 4), PathsShape(4, 8)),
                ),
                paths=PathsShape(4, 8),
            ),
        ),
    ),
)
