"""Khisti et al. 2025: two drafts over three tokens, schemes on models, non-identical drafts.

They write the target as q, the draft as p and the number of drafts as K.
"""

from __future__ import annotations

from mdbound.analysis.recipes.recipe import (
    CaptureExperiment,
    FigureSpec,
    ModelPair,
    Ours,
    PublishedRow,
    PublishedTable,
    Recipe,
    TwoDraftCurves,
)
from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.results import BOUND
from mdbound.analysis.studies.study import TableSpec

_CITATION = (
    "Khisti et al., Multi-Draft Speculative Sampling: Canonical Decomposition and Theoretical "
    "Limits, ICLR 2025, https://arxiv.org/abs/2410.18234"
)
_OPT = ModelPair("opt-13b", "facebook/opt-13b", ("facebook/opt-125m",), hub=True)
_MODELS = ("models", "OPT 13B, drafts OPT 125M")
_FULL_ALPHABET = (
    "The paper drafts from the 40 most likely tokens of the draft in its importance sampling; "
    "here every scheme drafts from the whole vocabulary, so that all have the same bound."
)

#: K to the average acceptance on XSum and Dolly, as printed in Table 3.
_TABLE_3 = {
    (BOUND, "optimal"): {2: (0.5009, 0.6384), 4: (0.5226, 0.6731), 8: (0.5419, 0.6962)},
    ("importance_sampling", "importance sampling"): {
        2: (0.4933, 0.6348),
        4: (0.5145, 0.6691),
        8: (0.5333, 0.6919),
    },
    ("k_seq", "SpecTr (K-SEQ)"): {
        2: (0.4889, 0.6246),
        4: (0.5083, 0.6560),
        8: (0.5263, 0.6800),
    },
    ("rrs_with_replacement", "SpecInfer (RRS)"): {
        2: (0.4875, 0.6202),
        4: (0.5058, 0.6489),
        8: (0.5227, 0.6722),
    },
}


def _table_3_rows() -> tuple[PublishedRow, ...]:
    return tuple(
        PublishedRow(
            (str(n), name, f"{xsum:.4f}", f"{dolly:.4f}"),
            tuple(Ours({"scheme": scheme, "num_drafts": n}, value) for value in ("mean", "accept")),
        )
        for n in (2, 4, 8)
        for (scheme, name), by_n in _TABLE_3.items()
        for xsum, dolly in (by_n[n],)
    )


FIGURE_2 = Recipe(
    name="khisti2025-figure2",
    summary="two i.i.d. drafts over three tokens: optimal, SpecTr, SpecInfer; needs no models",
    title="Two i.i.d. drafts over three tokens: Khisti et al. 2025, Figure 2",
    citation=_CITATION,
    setup=(
        ("draft", "(1/3, 1/3, 1/3)"),
        ("target", "(1/3, x, 2/3 - x) and (1/6, x, 5/6 - x)"),
        ("drafts", "2, identical"),
        ("schemes", "optimal, SpecTr (K-SEQ), SpecInfer (RRS with replacement)"),
    ),
    differences=("The same distributions as in the paper: the curves are exact.",),
    experiment=TwoDraftCurves(),
)

TABLE_3 = Recipe(
    name="khisti2025-table3",
    summary="average acceptance of optimal, importance sampling, SpecTr, SpecInfer at K = 2, 4, 8",
    title="Average acceptance of four schemes: the setting of Khisti et al. 2025, Table 3",
    citation=_CITATION,
    setup=(
        _MODELS,
        ("text", "XSum, Dolly-15k, WMT18"),
        ("temperature", "1.0 for the target"),
        ("drafts", "2, 4, 8 identical; 5 draft tokens per call"),
        ("importance sampling", "truncated program s = 5, truncated alphabet 40"),
    ),
    differences=(
        _FULL_ALPHABET,
        "The draft's temperature is the target's, 1.0; the table's own is not known to us.",
        "Positions are those of the target's own answers, each as a single step; the paper's are "
        "those its 5-token calls reach.",
        "Acceptance is the probability that the output is one of the drafts; beside it stands the "
        "probability that a scheme's accept step fires, which the paper may have counted.",
    ),
    experiment=CaptureExperiment(
        pairs=(_OPT,),
        text="XSum and Dolly-15k prompts",
        documents_per_task=None,
        new_tokens=128,
        temperature=1.0,
        grid=SolveGrid(
            sampling=("with_replacement",),
            num_drafts=(1, 2, 4, 8),
            schemes=("importance_sampling", "k_seq", "rrs_with_replacement"),
            scheme_samples=1024,
        ),
        tables=(
            TableSpec("table3", where={"num_drafts": (2, 4, 8)}),
            TableSpec("gap", "gap", where={"num_drafts": (2, 4, 8)}),
            TableSpec("share", "share", where={"num_drafts": (2, 4, 8)}),
        ),
        figures=(FigureSpec("acceptance", "acceptance"), FigureSpec("ecdf", "distribution")),
        published=PublishedTable(
            caption=(
                "Average acceptance printed by Khisti et al. (2025), Table 3, for OPT 13B / 125M, "
                "beside ours"
            ),
            labels=("K", "scheme", "paper, XSum", "paper, Dolly"),
            values=("ours", "ours, accept event"),
            rows=_table_3_rows(),
        ),
    ),
)

_FIRST_TEMPERATURE = 1.2
_SECOND_TEMPERATURES = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4)

TEMPERATURE = Recipe(
    name="khisti2025-temperature",
    summary="two non-identical drafts, at 1.2 and at 1.0 to 2.4: bound and importance sampling",
    title="Two drafts at different temperatures: the setting of Khisti et al. 2025",
    citation=_CITATION,
    setup=(
        _MODELS,
        ("text", "XSum, Dolly-15k, WMT18; which of them here is not known to us"),
        ("target temperature", "1.0"),
        ("drafts", "2: draft 1 at 1.2, draft 2 from 1.0 to 2.4"),
        ("baseline", "two identical drafts at 1.2"),
        ("importance sampling", "truncated program s = 5, truncated alphabet 40"),
    ),
    differences=(
        _FULL_ALPHABET,
        "The paper reports block efficiency of 5-token calls; here it is the acceptance of one "
        "step, and the bound beside it, which the paper could not compute at this vocabulary.",
    ),
    experiment=CaptureExperiment(
        pairs=(_OPT,),
        text="XSum and Dolly-15k prompts",
        documents_per_task=None,
        new_tokens=128,
        temperature=1.0,
        grid=SolveGrid(
            sampling=("with_replacement", "independent"),
            draft_temperatures=(_FIRST_TEMPERATURE,),
            draft_temperature_sets=tuple(
                (_FIRST_TEMPERATURE, second) for second in _SECOND_TEMPERATURES
            ),
            num_drafts=(1, 2),
            schemes=("importance_sampling",),
        ),
        tables=(
            TableSpec(
                "acceptance",
                where={"num_drafts": (2,)},
                caption="Acceptance of two drafts, identical or at two temperatures; mean over "
                "positions",
            ),
            TableSpec("gap", "gap", where={"num_drafts": (2,)}),
        ),
        figures=(FigureSpec("second-draft", "temperature"),),
    ),
)
