"""Thomas and Pal 2026: bounds and solve time over top-k and the number of drafts."""

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
from mdbound.analysis.recipes.solve_times import BOUND_TIME, DECOMPOSITION_TIME
from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.results import BOUND
from mdbound.analysis.studies.study import TableSpec

#: (k, n) to milliseconds of a linear program, of maximum flow and of theirs, and the share of
#: positions that theirs solves, as printed.
_PUBLISHED = {
    (10, 2): ("4.07", "2.45", "5.27", "98%"),
    (10, 4): ("over 4,000", "74", "40.3", "97%"),
    (10, 5): ("", "", "70.8", "96%"),
    (100, 2): ("over 4,000", "72", "23.9", "38%"),
    (1000, 2): ("out of memory", "over 400,000", "34.9", "31%"),
}


def _row(k: int, n: int) -> PublishedRow:
    where = {"scheme": BOUND, "top_k": k, "num_drafts": n}
    columns = ("mean", BOUND_TIME, DECOMPOSITION_TIME)
    shown = (text or "not given" for text in _PUBLISHED[k, n])
    return PublishedRow((str(k), str(n), *shown), tuple(Ours(where, each) for each in columns))


TOP_K = Recipe(
    name="global-resolution-topk",
    summary="bounds and solve time over top-k (10 to all) and n (1 to 5)",
    title="Bounds and solve time over top-k and n: the setting of Global Resolution",
    citation=(
        "Thomas and Pal, Global Resolution: Optimal Multi-Draft Speculative Sampling via Convex "
        "Minimization, ICLR 2026, https://arxiv.org/abs/2511.15898"
    ),
    setup=(
        ("models", "Llama 3 70B, drafts Llama 3 8B"),
        ("drafts", "n identical, i.i.d. from the draft's k most likely tokens"),
        ("grid", "k = 10, 100, 1000; n = 2 to 5"),
        ("measured", "milliseconds per token, and the share of positions solved in time"),
    ),
    differences=(
        "Published times are of another machine and include the transport plan, up to a stated "
        "tolerance. Ours are of the bound alone (in batches) and of the decomposition that the "
        "exact optimal scheme samples from (one position at a time), from probabilities, in "
        "double precision, at every position.",
        "Top-k cuts target and draft alike, each to its own tokens; temperature 1.",
    ),
    experiment=CaptureExperiment(
        pairs=(
            ModelPair(
                "llama-3-70b",
                "meta-llama/Meta-Llama-3-70B",
                ("meta-llama/Meta-Llama-3-8B",),
                hub=True,
            ),
        ),
        text="prompts",
        documents_per_task=None,
        new_tokens=128,
        temperature=1.0,
        grid=SolveGrid(
            sampling=("with_replacement", "greedy"),
            top_k=(10, 100, 1000, None),
            num_drafts=(1, 2, 3, 4, 5),
        ),
        tables=(
            TableSpec(
                "bounds",
                where={"sampling": ("with_replacement",)},
                caption="Bound of n i.i.d. drafts over top-k; mean over positions",
            ),
            TableSpec("laws", across="top_k", where={"num_drafts": (2, 5)}),
        ),
        figures=(
            FigureSpec("vocabulary", "top-k"),
            FigureSpec("acceptance", "acceptance-at-100", {"top_k": (100,)}),
        ),
        published=PublishedTable(
            caption=(
                "Times printed by Thomas and Pal (2026), in ms per token with the share of "
                "positions solved, beside ours"
            ),
            labels=("top-k", "n", "LP", "max-flow", "theirs", "solved"),
            values=("our bound", "bound, ms", "decomposition, ms"),
            rows=tuple(_row(k, n) for k, n in _PUBLISHED),
        ),
        solve_times=True,
    ),
)
