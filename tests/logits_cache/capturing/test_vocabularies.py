"""Models whose tokens differ, through a capture: what is stored, and what the manifest says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.numpy import save_file

from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.solve_cache import solve_cache
from mdbound.analysis.solving.solve_capture import solve_during_capture
from mdbound.errors import InvalidSettingError, ModelError
from mdbound.logits_cache import LogitsCache
from mdbound.logits_cache.capturing.add_drafts import add_drafts
from mdbound.logits_cache.capturing.capture import capture
from mdbound.logits_cache.capturing.settings import CaptureSettings
from mdbound.logits_cache.models.logit_columns import LogitColumns
from mdbound.logits_cache.models.vocabulary_map import read_vocabulary_map
from mdbound.logits_cache.store.manifest import AlignmentRecord, Manifest
from tests.logits_cache.capturing.test_capture import contents
from tests.logits_cache.small_models import VOCAB_SIZE, byte_tokenizer, llama, save_model

SettingsFor = Callable[..., CaptureSettings]
THINK = VOCAB_SIZE
KEPT = [101, 32, 116, 97, 5, 257]


def thinking_tokenizer() -> Any:
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(["<think>", "</think>"], special_tokens=True)
    return tokenizer


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """`plain` lacks `<think>` and `</think>`, of which `thinking` has logits."""
    folder = tmp_path_factory.mktemp("vocabularies")
    plain, thinking = byte_tokenizer(), thinking_tokenizer()
    padded = llama(VOCAB_SIZE + 8, 1, 3)
    return {
        "plain": save_model(folder / "plain", llama(VOCAB_SIZE, 2, 1), plain),
        "padded": save_model(folder / "padded", padded, plain),
        "thinking": save_model(folder / "thinking", llama(VOCAB_SIZE + 6, 2, 2), thinking),
        "named": save_model(folder / "named", llama(VOCAB_SIZE, 2, 4), thinking),
    }


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "text.txt"
    path.write_text("Eight words of text that both models read.")
    return str(path)


@pytest.fixture
def scoring(settings_for: SettingsFor, text: str) -> SettingsFor:
    def make(**changes: Any) -> CaptureSettings:
        return settings_for(mode="score", max_new_tokens=None, text=(text,), **changes)

    return make


def probabilities(logits: Any) -> np.ndarray:
    return torch.from_numpy(np.asarray(logits)).double().softmax(-1).numpy()


def raw_logits(folder: str, cache: Path) -> np.ndarray:
    """All that a model puts out on the only sequence of a cache, by transformers alone."""
    from transformers import AutoModelForCausalLM

    opened = LogitsCache.open(cache)
    (row,) = opened.read_documents(opened.shards[0])
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        return network(torch.tensor([row["token_ids"][:-1]])).logits[0].numpy()


def test_a_name_without_a_logit_is_no_difference(
    scoring: SettingsFor, models: dict[str, str]
) -> None:
    for one, other in [("plain", "named"), ("named", "plain")]:
        settings = scoring(target=models[one], drafts=(models[other],))
        capture(replace(settings, out=settings.out / one))
        manifest = Manifest.read(settings.out / one)
        assert manifest.vocab_size == VOCAB_SIZE
        assert [each.alignment for each in manifest.models()] == [None, None]
        assert manifest.masses_outside() == ()


def test_a_name_with_a_logit_on_both_sides_is_refused(
    scoring: SettingsFor, models: dict[str, str]
) -> None:
    settings = scoring(target=models["padded"], drafts=(models["thinking"],))
    with pytest.raises(ModelError, match=r"token 258 is missing .*'<think>' .*`align_vocabulary`"):
        capture(settings)


def test_a_draft_without_the_last_tokens(scoring: SettingsFor, models: dict[str, str]) -> None:
    settings = scoring(target=models["thinking"], drafts=(models["padded"],))
    with pytest.raises(ModelError, match="`align_vocabulary` prefix"):
        capture(settings)
    capture(replace(settings, align_vocabulary="prefix"))
    stored = contents(settings.out)
    manifest = Manifest.read(settings.out)
    assert manifest.vocab_size == VOCAB_SIZE + 2
    target, draft = manifest.models()
    assert (target.alignment, draft.alignment) == (None, AlignmentRecord("prefix", VOCAB_SIZE))
    raw = raw_logits(models["padded"], settings.out)
    np.testing.assert_allclose(stored["padded"][:, :VOCAB_SIZE], raw[:, :VOCAB_SIZE], atol=1e-5)
    assert np.isneginf(stored["padded"][:, VOCAB_SIZE:]).all()
    assert np.isfinite(raw[:, VOCAB_SIZE:]).all()  # what the padding would have said
    (mass,) = manifest.masses_outside()
    expected = probabilities(stored["target"])[:, VOCAB_SIZE:].sum(axis=1).mean()
    assert expected > 1e-6
    assert mass.of_target == pytest.approx(expected, rel=1e-12)
    assert mass.of_draft is None


def test_a_target_without_the_last_tokens(scoring: SettingsFor, models: dict[str, str]) -> None:
    settings = scoring(
        target=models["plain"], drafts=(models["thinking"],), align_vocabulary="prefix"
    )
    capture(settings)
    stored = contents(settings.out)
    manifest = Manifest.read(settings.out)
    target, draft = manifest.models()
    assert (target.alignment, draft.alignment) == (AlignmentRecord("prefix", VOCAB_SIZE), None)
    assert np.isneginf(stored["target"][:, VOCAB_SIZE:]).all()
    assert np.isfinite(stored["thinking"]).all()
    (mass,) = manifest.masses_outside()
    expected = probabilities(stored["thinking"])[:, VOCAB_SIZE:].sum(axis=1).mean()
    assert mass.of_target is None
    assert mass.of_draft == pytest.approx(expected, rel=1e-12)


def test_answers_never_have_tokens_that_the_target_lacks(
    settings_for: SettingsFor, models: dict[str, str]
) -> None:
    settings = settings_for(
        target=models["plain"], drafts=(models["thinking"],), align_vocabulary="prefix"
    )
    capture(settings)
    opened = LogitsCache.open(settings.out)
    rows = [row for shard in opened.shards for row in opened.read_documents(shard)]
    assert max(max(row["token_ids"]) for row in rows) < VOCAB_SIZE


def test_paths_where_a_side_lacks_tokens(
    settings_for: SettingsFor, models: dict[str, str], tmp_path: Path
) -> None:
    """A draft draws none that it lacks; of one that has more, none can be read by the target."""
    asked = {"paths": 4, "length": 3, "align_vocabulary": "prefix"}
    settings = settings_for(target=models["thinking"], drafts=(models["padded"],), **asked)
    capture(settings)
    found = list(LogitsCache.open(settings.out).iter_paths("padded"))
    assert max(paths.tokens.max() for paths in found) < VOCAB_SIZE
    assert all(np.isneginf(paths.draft_logits[..., VOCAB_SIZE:]).all() for paths in found)
    assert all(np.isfinite(paths.target_logits).all() for paths in found)
    other = settings_for(
        target=models["plain"], drafts=(models["thinking"],), out=tmp_path / "other", **asked
    )
    with pytest.raises(InvalidSettingError, match="`paths` and `tree` can hold tokens that"):
        capture(other)
    assert not other.out.exists()


def test_nothing_changes_where_nothing_is_lacking(
    scoring: SettingsFor, models: dict[str, str]
) -> None:
    settings = scoring(target=models["plain"], drafts=(models["padded"],))
    capture(settings)
    again = replace(settings, align_vocabulary="prefix")
    assert capture(again).new_positions == 0  # the same capture, so it is finished


def map_file(folder: Path, kind: str) -> str:
    path = folder / f"map{kind}"
    if kind == ".json":
        path.write_text(json.dumps(KEPT))
    elif kind == ".npy":
        np.save(path, np.array(KEPT))
    else:
        mask = np.zeros(VOCAB_SIZE, dtype=bool)
        mask[KEPT] = True
        save_file({"d2t": np.array(KEPT) - np.arange(len(KEPT)), "t2d": mask}, path)
    return str(path)


@pytest.mark.parametrize("kind", [".json", ".npy", ".safetensors"])
def test_a_draft_that_puts_out_some_tokens(
    scoring: SettingsFor, models: dict[str, str], tmp_path: Path, kind: str
) -> None:
    settings = scoring(
        target=models["plain"],
        drafts=(models["padded"],),
        draft_vocabulary=(map_file(tmp_path, kind),),
    )
    capture(settings)
    stored = contents(settings.out)
    raw = raw_logits(models["padded"], settings.out)
    np.testing.assert_allclose(stored["padded"][:, KEPT], raw[:, KEPT], atol=1e-5)
    others = np.setdiff1d(np.arange(VOCAB_SIZE), KEPT)
    assert np.isneginf(stored["padded"][:, others]).all()
    manifest = Manifest.read(settings.out)
    alignment = manifest.drafts[0].alignment
    assert alignment is not None
    assert (alignment.rule, alignment.tokens) == ("map", len(KEPT))
    (mass,) = manifest.masses_outside()
    expected = probabilities(stored["target"])[:, others].sum(axis=1).mean()
    assert mass.of_target == pytest.approx(expected, rel=1e-12)
    with pytest.raises(InvalidSettingError, match="alignment"):
        capture(replace(settings, draft_vocabulary=()))


def test_a_pruned_head_says_its_tokens_in_the_order_of_the_map(tmp_path: Path) -> None:
    columns = read_vocabulary_map(Path(map_file(tmp_path, ".json"))).columns(
        len(KEPT), VOCAB_SIZE, "eagle"
    )
    placed = columns.placed(torch.arange(6.0)[None])
    assert placed[0, KEPT].tolist() == [0, 1, 2, 3, 4, 5]
    assert int(torch.isfinite(placed).sum()) == len(KEPT)
    assert placed[0, sorted(KEPT)].tolist() != [0, 1, 2, 3, 4, 5]  # the order counts
    with pytest.raises(ModelError, match="puts out 5 logits"):
        columns.placed(torch.zeros(1, 5))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 1], "token 1 more than once"),
        ([-1, 1], "names token -1"),
        ([0.5], "no list of whole numbers"),
        ([], "no list of whole numbers"),
        ([0, 258], "names token 258, and the target has 258"),
    ],
)
def test_maps_that_are_none(
    scoring: SettingsFor, models: dict[str, str], tmp_path: Path, content: Any, message: str
) -> None:
    path = tmp_path / "map.json"
    path.write_text(json.dumps(content))
    settings = scoring(
        target=models["plain"], drafts=(models["padded"],), draft_vocabulary=(str(path),)
    )
    with pytest.raises(ModelError, match=message):
        capture(settings)


def test_maps_of_other_kinds(tmp_path: Path) -> None:
    pickle = tmp_path / "map.pt"
    pickle.write_bytes(b"\x80")
    with pytest.raises(ModelError, match="pickles are not read"):
        read_vocabulary_map(pickle)
    with pytest.raises(ModelError, match="no vocabulary map"):
        read_vocabulary_map(tmp_path / "absent.json")
    wrong = tmp_path / "wrong.safetensors"
    save_file({"d2t": np.array([0, 0]), "t2d": np.array([True, False, True])}, wrong)
    with pytest.raises(ModelError, match="d2t and t2d name different tokens"):
        read_vocabulary_map(wrong)


def test_a_map_for_each_draft(scoring: SettingsFor, models: dict[str, str], tmp_path: Path) -> None:
    path = map_file(tmp_path, ".json")
    settings = scoring(target=models["plain"], drafts=(models["padded"], models["named"]))
    with pytest.raises(InvalidSettingError, match="`draft_vocabulary` is given 1 times"):
        capture(replace(settings, draft_vocabulary=(path,)))
    capture(replace(settings, draft_vocabulary=(path, "none")))
    with_map, without = Manifest.read(settings.out).drafts
    assert with_map.alignment is not None
    assert without.alignment is None


def test_drafts_added_later_say_the_same(
    scoring: SettingsFor, models: dict[str, str], tmp_path: Path
) -> None:
    path = map_file(tmp_path, ".npy")
    settings = scoring(target=models["plain"], drafts=(models["padded"],), draft_vocabulary=(path,))
    capture(settings)
    grown = replace(settings, out=tmp_path / "grown", drafts=(models["named"],))
    capture(replace(grown, draft_vocabulary=()))
    add_drafts(
        grown.out,
        [models["padded"]],
        target=grown.target,
        draft_vocabulary=[path],
        device="cpu",
    )
    assert np.array_equal(contents(grown.out)["padded"], contents(settings.out)["padded"])
    (one,), (other,) = (Manifest.read(each.out).masses_outside() for each in (settings, grown))
    assert one.of_target == pytest.approx(other.of_target, rel=1e-12)


def test_solving_in_the_same_run_is_solving_the_cache(
    scoring: SettingsFor, models: dict[str, str], tmp_path: Path
) -> None:
    settings = scoring(
        target=models["plain"], drafts=(models["thinking"],), align_vocabulary="prefix"
    )
    grid = SolveGrid(sampling=("with_replacement",), num_drafts=(1, 2))
    capture(settings)
    cache = LogitsCache.open(settings.out)
    solve_cache(cache, grid.settings(cache.draft_names), tmp_path / "cache.parquet")
    summary = solve_during_capture(settings, grid, tmp_path / "run.parquet")
    values = [
        pl.read_parquet(tmp_path / name).sort("position", "num_drafts")["acceptance"].to_numpy()
        for name in ("cache.parquet", "run.parquet")
    ]
    np.testing.assert_array_equal(*values)
    stored = contents(settings.out)
    # One draft is accepted by the overlap of both sides, and what p lacks is no overlap.
    overlap = np.minimum(probabilities(stored["target"]), probabilities(stored["thinking"]))
    np.testing.assert_allclose(values[0][::2], overlap.sum(axis=1), atol=1e-9)
    assert summary.masses_outside == Manifest.read(settings.out).masses_outside()


def test_a_text_that_a_draft_cannot_read(
    scoring: SettingsFor, models: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "thinks.txt"
    path.write_text("So <think>one</think>")
    settings = scoring(target=models["thinking"], align_vocabulary="prefix")
    settings = replace(settings, text=(str(path),))
    capture(replace(settings, drafts=(models["padded"],)))  # it has embeddings to spare
    other = replace(settings, drafts=(models["plain"],), out=tmp_path / "other")
    with pytest.raises(ModelError, match=r"token 259, and .* can read 258"):
        capture(other)


def test_columns_lack_the_rest() -> None:
    columns = LogitColumns.first(3, 5)
    assert columns.lacking.tolist() == [3, 4]
    assert columns.placed(torch.zeros(1, 4)).tolist() == [[0, 0, 0, -np.inf, -np.inf]]
