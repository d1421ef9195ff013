"""Studies of draft trees: a file, one pass, tables; run again they change nothing."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.studies.study_file import TREE_KEYS, read_study
from mdbound.analysis.studies.tree_study import TreeStudy, run_tree_study
from mdbound.analysis.trees.tree_grid import PathsShape, TreeGrid
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache import CaptureSettings, capture

FILE = """
command = "trees"
name = "all-keys"
capture = "caches/c"
out = "results/all"
draft = "small"
verifiers = ["gbv", "traversal"]
shapes = "1:2,2:2"
mixed = ["small", "large"]
sampled = true
resamples = 500
confidence = 0.9
seed = 4
"""


def read(folder: Path, text: str) -> object:
    file = folder / "study.toml"
    file.write_text(text)
    return read_study(file)


def test_every_key_reaches_its_place(tmp_path: Path) -> None:
    grid = TreeGrid(
        verifiers=("gbv", "traversal"),
        shapes=(PathsShape(1, 2), PathsShape(2, 2)),
        drafts=("small",),
        mixed=("small", "large"),
        sampled=True,
        seed=4,
    )
    how = Bootstrap(resamples=500, confidence=0.9, seed=4)
    expected = TreeStudy("all-keys", tmp_path / "caches/c", tmp_path / "results/all", grid, how)
    assert read(tmp_path, FILE) == expected
    used = {line.split(" = ")[0] for line in FILE.splitlines() if line}
    assert used == {"command", *TREE_KEYS}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("top_k = 5", 'is of studies with command = "solve"'),
        ('length = "1-3"', 'is of studies with command = "paths"'),
        ("sampled = 1", "true or false"),
        ('shapes = "2"', "K:L"),
        ('verifiers = "gvb"', "did you mean 'gbv'"),
        ('name = "t"\n[[table]]\nname = "t"', "have their own"),
    ],
)
def test_refusals(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(InvalidSettingError, match=says):
        read(tmp_path, f'command = "trees"\ncapture = "c"\n{line}\n')


def test_a_study_runs_once(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    prompts = tmp_path / "prompts.jsonl"
    texts = [f"Tell me of {thing}." for thing in ("rain", "snow")]
    prompts.write_text("\n".join(json.dumps({"prompt": text}) for text in texts))
    capture(
        CaptureSettings(
            target="tiny:target",
            drafts=("tiny:draft",),
            text=(str(prompts),),
            out=tmp_path / "c",
            mode="generate",
            max_new_tokens=6,
            paths=2,
            length=2,
            path_contexts=2,
            device="cpu",
        )
    )
    text = 'command = "trees"\ncapture = "c"\nverifiers = ["gbv", "traversal"]\nresamples = 100\n'
    study = read(tmp_path, text)
    assert isinstance(study, TreeStudy)
    first = run_tree_study(study, command="mdbound sweep")
    assert (first.settings, first.solved) == (1, 1)
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in first.files}
    second = run_tree_study(study, command="in other words")
    assert (second.settings, second.solved) == (1, 0)
    after = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in second.files}
    assert after == before
    assert "Study study." in (tmp_path / "study/expected_length.md").read_text()
    assert pl.read_parquet(tmp_path / "study/trees.parquet")["verifier"].n_unique() == 3
