"""Hu et al. 2025: three drafts at temperature 0.7, verifiers against their bounds."""

from __future__ import annotations

from mdbound.analysis.recipes.recipe import (
    CaptureExperiment,
    FigureSpec,
    ModelPair,
    Ours,
    PublishedRow,
    PublishedTable,
    Recipe,
)
from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.results import BOUND
from mdbound.analysis.studies.study import TableSpec

_CITATION = (
    "Hu et al., Towards Optimal Multi-draft Speculative Decoding, ICLR 2025, "
    "https://arxiv.org/abs/2502.18779"
)
_VERIFIERS = {
    "rrs_with_replacement": ("with_replacement", "RRS with replacement"),
    "k_seq": ("with_replacement", "K-SEQ"),
    "rrs_without_replacement": ("without_replacement", "RRS without replacement"),
}
_DRAFTS = 3


def _bound(sampling: str) -> dict[str, object]:
    return {"scheme": BOUND, "sampling": sampling, "num_drafts": _DRAFTS}


def _gap_row(scheme: str) -> PublishedRow:
    sampling, name = _VERIFIERS[scheme]
    where = {"scheme": scheme, "sampling": sampling, "num_drafts": _DRAFTS}
    return PublishedRow((f"bound minus {name}", "0.001 to 0.033"), (Ours(where, "gap"),))


_PUBLISHED = PublishedTable(
    caption=(
        "Claims of Hu et al. (2025) over all their models and texts, as reported and approximate, "
        "beside ours: three drafts, temperature 0.7"
    ),
    labels=("quantity", "paper"),
    values=("ours",),
    rows=(
        *(_gap_row(scheme) for scheme in _VERIFIERS),
        PublishedRow(
            ("bound without minus bound with replacement", "0.03 to 0.04"),
            (Ours(_bound("without_replacement"), minus=_bound("with_replacement")),),
        ),
    ),
)

TABLE_1 = Recipe(
    name="hu2025-table1",
    summary="three drafts at temperature 0.7: RRS, K-SEQ and greedy against their bounds, per task",
    title="Existing verifiers against the bound: the setting of Hu et al. 2025, Table 1",
    citation=_CITATION,
    setup=(
        ("models", "LLaMA-7B / 68M, OPT-6.7B / 125M, Vicuna-7B and Qwen2-7B with EAGLE drafts"),
        ("text", "Alpaca, WMT14 De-En, CNN/DailyMail; 1,024 samples each"),
        ("answers", "up to 128 new tokens, then the logits of both models on them"),
        ("temperature", "0.7 for target and draft"),
        ("drafts", "3"),
        ("verifiers", "RRS with and without replacement, K-SEQ, greedy; bounds of each draft law"),
    ),
    differences=(
        "Every rate here is exact or carries its standard error; the paper measures them by "
        "running the verifiers, so that its rates can come out above the bound.",
        "EAGLE drafts read the target's hidden states and cannot be captured as models of their "
        "own; the pairs are left out.",
        "The cells of the paper's Table 1 are not reproduced here, only what it says of them.",
    ),
    experiment=CaptureExperiment(
        pairs=(
            ModelPair("llama-7b", "huggyllama/llama-7b", ("JackFram/llama-68m",), hub=True),
            ModelPair("opt-6.7b", "facebook/opt-6.7b", ("facebook/opt-125m",), hub=True),
        ),
        text="Alpaca, WMT14 De-En and CNN/DailyMail prompts",
        documents_per_task=1024,
        new_tokens=128,
        temperature=0.7,
        grid=SolveGrid(
            sampling=("with_replacement", "without_replacement", "greedy"),
            temperatures=(0.7,),
            num_drafts=(1, _DRAFTS),
            schemes=(*_VERIFIERS, "greedy"),
        ),
        tables=(
            TableSpec(
                "table1",
                where={"num_drafts": (_DRAFTS,)},
                caption="Acceptance of three drafts: bounds of the draft laws and rates of "
                "verifiers; mean over positions",
            ),
            TableSpec("gap", "gap", where={"num_drafts": (_DRAFTS,)}),
            TableSpec("share", "share", where={"num_drafts": (_DRAFTS,)}),
            TableSpec("optimal", "optimal", where={"num_drafts": (_DRAFTS,)}),
        ),
        figures=(
            FigureSpec("ecdf", "distribution", {"num_drafts": (_DRAFTS,)}),
            FigureSpec("entropy", "entropy", {"num_drafts": (_DRAFTS,)}),
        ),
        published=_PUBLISHED,
        per_task=True,
    ),
)
