"""Trees whose paths have laws of their own: of several drafts, or at several temperatures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound.analysis.trees.run_trees import run_on_trees
from mdbound.analysis.trees.tree_grid import PathsShape, TreeGrid
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache import CapturedPaths, CaptureSettings, LogitsCache, capture

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> LogitsCache:
    """Two paths of two drafts, at two temperatures."""
    folder = tmp_path_factory.mktemp("several")
    prompts = folder / "prompts.jsonl"
    texts = [f"Say why {thing} is blue." for thing in ("sky", "sea", "ice", "ink")]
    prompts.write_text("\n".join(json.dumps({"prompt": text}) for text in texts))
    settings = CaptureSettings(
        target="tiny:target",
        drafts=("tiny:draft",),
        skip_layers=((1,),),
        text=(str(prompts),),
        out=folder / "cache",
        mode="generate",
        max_new_tokens=8,
        paths=2,
        length=2,
        path_contexts=4,
        path_temperatures=(0.5, 2.0),
        device="cpu",
    )
    capture(settings)
    return LogitsCache.open(folder / "cache")


def softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    shifted = logits.astype(np.float64) / temperature
    row = np.exp(shifted - shifted.max())
    return np.asarray(row / row.sum())


def first_acceptance(one: CapturedPaths, other: CapturedPaths, temperatures: list[float]) -> float:
    """Recursive rejection of the two first tokens, by hand."""
    p = softmax(one.target_logits[0, 0], 1.0)
    q = softmax(one.draft_logits[0, 0], temperatures[0])
    x, y = int(one.tokens[0, 0]), int(other.tokens[1, 0])
    first = min(1.0, p[x] / q[x])
    left = np.maximum(p - q, 0.0)
    q = softmax(other.draft_logits[1, 0], temperatures[1])
    second = min(1.0, left[y] / left.sum() / q[y]) if left.sum() > 0 else 0.0
    return float(first + (1.0 - first) * second)


@pytest.mark.parametrize("mixed", [(), ("draft", "skip-1"), ("skip-1", "draft")])
def test_the_first_token_by_hand(
    cache: LogitsCache, tmp_path: Path, mixed: tuple[str, ...]
) -> None:
    names = cache.path_draft_names
    chosen = tuple(names[0] if name == "draft" else names[1] for name in mixed)
    run_on_trees(cache, TreeGrid(mixed=chosen, sampled=True), tmp_path / "trees.parquet")
    frame = pl.read_parquet(tmp_path / "trees.parquet")
    assert frame["verifier"].unique(maintain_order=True).to_list()[0] == "nss"
    assert "gbv" not in frame["verifier"]
    assert set(frame["tree"]) == {"2 paths of 2 tokens, drawn at 0.5, 2"}
    assert frame["draft_temperature"].null_count() == frame.height
    expected_name = "+".join(chosen) if mixed else names[0]
    rates = frame.filter(
        (pl.col("draft") == expected_name)
        & (pl.col("verifier") == "rrs_with_replacement")
        & ~pl.col("sampled")
    )
    found = {(row["doc_id"], row["position"]): row["tail"] for row in rates.iter_rows(named=True)}
    paths = {name: list(cache.iter_paths(name)) for name in names}
    sources = [paths[name] for name in (chosen or (names[0], names[0]))]
    far = 0.0
    for one, other in zip(*sources, strict=True):
        value = found[one.doc_id, one.position][0]
        assert value == pytest.approx(first_acceptance(one, other, [0.5, 2.0]), abs=1e-9)
        # The control: the temperatures in the other order are not what was drawn.
        far = max(far, abs(value - first_acceptance(one, other, [2.0, 0.5])))
    assert len(found) == 16
    assert far > 1e-3


def test_a_shorter_shape_keeps_the_laws_of_its_paths(cache: LogitsCache, tmp_path: Path) -> None:
    """One path of K with laws of their own is a chain at the first temperature."""
    name = cache.path_draft_names[0]
    grid = TreeGrid(("block_first_path",), (PathsShape(1, 2),), drafts=(name,))
    run_on_trees(cache, grid, tmp_path / "trees.parquet")
    rows = pl.read_parquet(tmp_path / "trees.parquet")
    assert set(rows["tree"]) == {"1 path of 2 tokens, drawn at 0.5"}
    overlap = [
        float(np.minimum(softmax(one.target_logits[0, 0], 1.0), q).sum())
        for one in cache.iter_paths(name)
        for q in [softmax(one.draft_logits[0, 0], 0.5)]
    ]
    assert [tail[0] for tail in rows["tail"]] == pytest.approx(overlap, abs=1e-9)


@pytest.mark.parametrize(
    ("grid", "says"),
    [
        (TreeGrid(("gbv",)), "each of these has its own: take nss, rrs_with"),
        (TreeGrid(mixed=("nobody", "skip-1")), "drew no trees; those that did are"),
        (TreeGrid(mixed=("skip-1",)), "give the drafts of 2 to 2"),
        (TreeGrid(mixed=("skip-1",) * 2, drafts=("skip-1",)), "leave out `drafts`"),
    ],
)
def test_what_cannot_be_mixed(
    cache: LogitsCache, tmp_path: Path, grid: TreeGrid, says: str
) -> None:
    with pytest.raises(InvalidSettingError, match=says):
        run_on_trees(cache, grid, tmp_path / "trees.parquet")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"path_temperatures": (1.0,)}, "add `paths`"),
        ({"paths": 3, "length": 2, "path_temperatures": (1.0, 2.0)}, "one for each path"),
        ({"tree": "2x2", "path_temperatures": (1.0, 2.0)}, "for trees: give one"),
        ({"paths": 1, "length": 2, "path_temperatures": (-1.0,)}, "`path_temperatures`: "),
    ],
)
def test_temperatures_that_no_capture_has(changes: dict[str, object], says: str) -> None:
    settings = CaptureSettings(
        "t",
        ("x.txt",),
        Path("o"),
        drafts=("d",),
        mode="generate",
        **changes,  # type: ignore[arg-type]
    )
    with pytest.raises(InvalidSettingError, match=says):
        settings.check()
