from __future__ import annotations

from pathlib import Path

import pytest

from mdbound.analysis.paths.path_setting import PathGrid
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.studies.path_study import PathStudy, PathTableSpec
from mdbound.analysis.studies.study import Study, TableSpec
from mdbound.analysis.studies.study_file import KEYS, PATH_KEYS, read_study
from mdbound.errors import InvalidSettingError

EVERYTHING = """
name = "all-keys"
capture = "caches/c"
out = "results/all"
batch_rows = 8
num_drafts = "1-3,8"
sampling = ["greedy", "independent"]
temperature = [0.7, 1]
draft_temperature = [1.2, "target"]
draft_temperature_sets = [[1.2, 1.0], [1.2, 2.0]]
top_k = [10, "none"]
top_p = ["full", 0.9]
min_p = [0.05, "none"]
vocabulary_size = [10, 1000, "full"]
vocabulary_of = "draft"
draft = "small"
schemes = ["all"]
scheme_samples = 64
scheme_seed = 3
task = ["qa"]
limit_per_task = 5
resamples = 500
confidence = 0.9
seed = 4

[[table]]
name = "by-k"
value = "gap"
across = "top_k"
caption = "Gap."
label = "tab:k"
where = { task = "all", num_drafts = [2, 4], top_p = "none" }
"""

OF_PATHS = """
command = "paths"
name = "all-keys"
capture = "caches/c"
out = "results/all"
batch_rows = 8
length = "1-3,8"
schemes = ["block", "k_seq"]
num_drafts = [2, 3]
sampling = "greedy"
draft = "small"
temperature = [0.7, 1]
draft_temperature = [1.2, "target"]
top_k = [10, "none"]
top_p = ["full", 0.9]
min_p = [0.05, "none"]
last_level = "exact"
resamples = 500
confidence = 0.9
seed = 4

[[table]]
name = "by-t"
value = "tokens_at_positions"
across = "temperature"
caption = "Tokens."
label = "tab:t"
where = { task = "all", top_k = "none" }
"""


def read(folder: Path, text: str, **overrides: object) -> Study:
    (folder / "study.toml").write_text(text)
    return read_study(folder / "study.toml", overrides)


def test_every_key_reaches_its_place(tmp_path: Path) -> None:
    study = read(tmp_path, EVERYTHING)
    assert (study.name, study.batch_rows) == ("all-keys", 8)
    assert (study.capture, study.out) == (tmp_path / "caches/c", tmp_path / "results/all")
    grid = study.grid
    assert grid.num_drafts == (1, 2, 3, 8)
    assert grid.sampling == ("greedy", "independent")
    assert (grid.temperatures, grid.draft_temperatures) == ((0.7, 1.0), (1.2, None))
    assert grid.draft_temperature_sets == ((1.2, 1.0), (1.2, 2.0))
    assert (grid.top_k, grid.top_p) == ((10, None), (None, 0.9))
    assert grid.min_p == (0.05, None)
    assert (grid.vocabulary_sizes, grid.vocabulary_of) == ((10, 1000, None), "draft")
    assert (grid.drafts, grid.schemes) == (("small",), ("all",))
    assert (grid.scheme_samples, grid.scheme_seed) == (64, 3)
    assert (study.selection.tasks, study.selection.limit_per_task) == (("qa",), 5)
    how = study.bootstrap
    assert (how.resamples, how.confidence, how.seed) == (500, 0.9, 4)
    where = {"task": ("all",), "num_drafts": (2, 4), "top_p": (None,)}
    assert study.tables == (TableSpec("by-k", "gap", "top_k", "Gap.", "tab:k", where),)
    keys, _, _ = EVERYTHING.partition("[[table]]")
    used = {line.split(" = ")[0] for line in keys.splitlines() if line}
    assert used == set(KEYS)


def test_every_key_of_tokens_per_call_reaches_its_place(tmp_path: Path) -> None:
    study = read(tmp_path, OF_PATHS)
    grid = PathGrid(
        lengths=(1, 2, 3, 8),
        schemes=("block", "k_seq"),
        num_drafts=(2, 3),
        sampling=("greedy",),
        drafts=("small",),
        draft_temperatures=(1.2, None),
        temperatures=(0.7, 1.0),
        top_k=(10, None),
        top_p=(None, 0.9),
        min_p=(0.05, None),
        last_level="exact",
    )
    where = {"task": ("all",), "top_k": (None,)}
    assert study == PathStudy(
        "all-keys",
        tmp_path / "caches/c",
        tmp_path / "results/all",
        grid,
        Bootstrap(resamples=500, confidence=0.9, seed=4),
        (PathTableSpec("by-t", "tokens_at_positions", "temperature", "Tokens.", "tab:t", where),),
        8,
    )
    keys, _, _ = OF_PATHS.partition("[[table]]")
    used = {line.split(" = ")[0] for line in keys.splitlines() if line}
    assert used == {"command", *PATH_KEYS}
    left_out = read(tmp_path, 'command = "paths"\ncapture = "c"')
    assert left_out == PathStudy("study", tmp_path / "c", tmp_path / "study")


def test_what_is_left_out_has_the_defaults_of_the_api(tmp_path: Path) -> None:
    study = read(tmp_path, 'capture = "c"')
    assert study == Study("study", tmp_path / "c", tmp_path / "study")


def test_an_override_beats_the_file_and_the_file_beats_the_defaults(tmp_path: Path) -> None:
    text = 'capture = "c"\ntemperature = 0.5\nseed = 7\n'
    study = read(tmp_path, text, temperature=[0.9], out="elsewhere")
    assert study.grid.temperatures == (0.9,)
    assert study.bootstrap.seed == 7
    assert study.out == Path("elsewhere")
    assert study.capture == tmp_path / "c"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'capture = "c"\ntemprature = 1',
            "key 'temprature' is unknown: did you mean 'temperature'",
        ),
        ('capture = "c"\ntemperatures = 1', "did you mean 'temperature'"),
        ("seed = 1", "capture is missing"),
        ('capture = "c"\ntemperature = "warm"', "temperature = 'warm': give a number"),
        ('capture = "c"\nseed = true', "seed = True: give a whole number"),
        ('capture = "c"\ntop_k = [1.5]', r"top_k = 1\.5: give a whole number"),
        ('capture = "c"\nsampling = 1', "sampling = 1: give a text"),
        ('capture = "c"\nnum_drafts = "0-3"', "`num_drafts` 0-3"),
        ('capture = "c"\nresamples = 1', "`resamples` 1"),
        ('capture = "c"\nlimit_per_task = 0', "`limit_per_task` 0"),
        ('capture = "c"\ntable = 1', r"write each one as \[\[table\]\]"),
        ('capture = "c"\n[[table]]\nvalue = "gap"', "name is missing"),
        ('capture = "c"\n[[table]]\nname = "a/b"', "no folder"),
        ('capture = "c"\n[[table]]\nname = "a"\ncaptoin = "x"', "did you mean 'caption'"),
        ('capture = "c"\n[[table]]\nname = "a"\nwhere = 3', "where = 3"),
        ('capture = "c"\n[[table]]\nname = "a"\n[[table]]\nname = "a"', "two tables"),
        ("capture = ", "cannot be read as TOML"),
        ('capture = "c"\nlength = 3', "key 'length' is of studies with command = \"paths\""),
        ('command = "paths"\ncapture = "c"\ntask = "qa"', 'studies with command = "solve"'),
        ('command = "path"\ncapture = "c"', "did you mean 'paths'"),
        ('command = 3\ncapture = "c"', "command '3' is unknown"),
        ('command = "paths"\ncapture = "c"\nlength = 0', "`lengths` 0"),
        ('command = "paths"\ncapture = "c"\nlength = "0-3"', "`lengths` 0-3: out of range"),
        ('command = "paths"\ncapture = "c"\nlast_level = "exakt"', "did you mean 'exact'"),
        ('command = "paths"\ncapture = "c"\nlenth = 3', "did you mean 'length'"),
        (
            'command = "paths"\ncapture = "c"\n[[table]]\nname = "a"\nvalue = "gap"',
            "table 'a': value 'gap' is unknown",
        ),
    ],
)
def test_what_a_study_cannot_mean_is_refused_with_the_file(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(InvalidSettingError, match=message) as refused:
        read(tmp_path, text)
    assert str(tmp_path / "study.toml") in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingError, match="no such study file"):
        read_study(tmp_path / "none.toml")
