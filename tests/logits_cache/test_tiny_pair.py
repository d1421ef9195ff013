import json
import logging
import re
from dataclasses import fields
from pathlib import Path

import pytest

from mdbound.errors import ModelError
from mdbound.logits_cache import tiny
from mdbound.logits_cache.text.python_docs import HeldOutFilter, python_docs_topics
from mdbound.logits_cache.tiny import tiny_model_path
from mdbound.logits_cache.tiny.corpus import Corpus, load_corpus, stdlib_modules
from mdbound.logits_cache.tiny.evaluate import (
    DocumentScore,
    mean_over_documents,
    score_pair,
    text_hash,
)

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

MAX_TOTAL_BYTES = 8_000_000
SUBSET = ("atom-identifiers", "augassign", "calls", "dict", "formatstrings", "with")


@pytest.fixture(scope="module")
def scores() -> dict[str, DocumentScore]:
    topics = [topic for topic in python_docs_topics("held_out") if topic.name in SUBSET]
    found = score_pair(tiny_model_path("target"), tiny_model_path("draft"), topics)
    return {score.name: score for score in found}


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus()


def card() -> str:
    return (Path(tiny.__file__).parent / "MODEL_CARD.md").read_text(encoding="utf-8")


def card_scores() -> dict[str, DocumentScore]:
    rows = re.findall(r"^\| (\S+) \| ([0-9a-f]{8}) \| (\d+) \| (.*) \|$", card(), re.MULTILINE)
    return {
        name: DocumentScore(name, digest, int(positions), *map(float, numbers.split(" | ")))
        for name, digest, positions, numbers in rows
    }


def test_unknown_role_is_refused():
    with pytest.raises(ModelError, match=r'teacher.*"target" or "draft"'):
        tiny_model_path("teacher")  # type: ignore[arg-type]


def test_all_files_are_there_and_small():
    for role in ("target", "draft"):
        names = {path.name for path in tiny_model_path(role).iterdir()}
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    files = [path for path in Path(tiny.__file__).parent.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MAX_TOTAL_BYTES


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_both_folders_hold_the_same_tokenizer(name):
    target, draft = ((tiny_model_path(role) / name).read_bytes() for role in ("target", "draft"))
    assert target == draft


@pytest.mark.parametrize(
    ("role", "smallest", "largest"), [("target", 2.5e6, 3.5e6), ("draft", 2e5, 6e5)]
)
def test_models_load_without_complaint(role, smallest, largest, caplog):
    with caplog.at_level(logging.WARNING):
        model = transformers.AutoModelForCausalLM.from_pretrained(tiny_model_path(role))
    assert not caplog.records
    assert smallest < model.num_parameters() < largest
    assert next(model.parameters()).dtype == torch.float32
    assert model.config.vocab_size == 4096
    assert model.config.tie_word_embeddings


def test_tokenizer_round_trips_and_marks_the_start():
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model_path("target"))
    text = "def f(x):\n    return {“é”: 中}  # two  spaces"
    ids = tokenizer(text).input_ids
    assert len(tokenizer) == 4096
    assert ids[0] == tokenizer.bos_token_id
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    special = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
    assert len(special) == 3


def test_special_tokens_agree_with_the_configurations():
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model_path("draft"))
    for role in ("target", "draft"):
        config = json.loads((tiny_model_path(role) / "config.json").read_text(encoding="utf-8"))
        for kind in ("bos", "eos", "pad"):
            assert config[f"{kind}_token_id"] == getattr(tokenizer, f"{kind}_token_id")


def test_target_is_clearly_better_on_held_out_topics(scores):
    assert len(scores) == len(SUBSET)
    assert all(score.draft_loss > score.target_loss for score in scores.values())
    gap = mean_over_documents([s.draft_loss - s.target_loss for s in scores.values()])
    assert gap.value > 0.2


def test_acceptance_leaves_room_on_both_sides(scores):
    assert 0.4 < mean_over_documents([s.acceptance for s in scores.values()]).value < 0.8
    assert all(0.3 < score.acceptance < 0.9 for score in scores.values())


def test_model_card_rows_can_be_recomputed(scores):
    stated = card_scores()
    topics = {topic.name: topic.text for topic in python_docs_topics("held_out")}
    same_text = [n for n in SUBSET if text_hash(topics[n]) == stated[n].text_hash]
    if not same_text:
        pytest.skip("this version of Python has other texts than the model card")
    for name in same_text:
        for field in fields(DocumentScore)[2:]:
            recomputed = getattr(scores[name], field.name)
            assert recomputed == pytest.approx(getattr(stated[name], field.name), abs=5e-4)


def test_model_card_means_follow_from_its_rows():
    rows = card_scores().values()
    assert len(rows) >= 20
    for field, label in (("acceptance", "single-draft acceptance"), ("target_loss", "loss, nats")):
        mean = mean_over_documents([getattr(row, field) for row in rows])
        line = next(line for line in card().splitlines() if line.startswith(f"| {label}"))
        value, error = map(float, re.findall(r"\d+\.\d+", line)[:2])
        assert mean.value == pytest.approx(value, abs=1e-3)
        assert mean.standard_error == pytest.approx(error, abs=1e-3)


def test_training_corpus_holds_no_held_out_text(corpus):
    held_out = HeldOutFilter.for_python_docs()
    documents = corpus.topics + corpus.docstrings[::10]
    assert corpus.sources
    for document in documents:
        assert not any(held_out.shares_text(part) for part in document.split("\n\n"))


def test_training_corpus_skips_tests_and_the_reference_itself():
    parts = {part for path in stdlib_modules() for part in path.parts}
    assert not parts & {"pydoc_data", "test", "tests", "site-packages"}


def test_a_short_training_run_writes_loadable_models(corpus, tmp_path, monkeypatch):
    from mdbound.logits_cache.tiny import train

    few = python_docs_topics("held_out")[:2]
    monkeypatch.setattr(train, "python_docs_topics", lambda _: few)
    small = Corpus(corpus.topics, corpus.docstrings[:40], corpus.sources[:10])
    monkeypatch.setattr(train, "load_corpus", lambda: small)
    monkeypatch.setattr(train, "TARGET_SHAPE", train.Shape(32, 1, 2, 64, 1e-3, 1e-3))
    monkeypatch.setattr(train, "DRAFT_SHAPE", train.Shape(16, 1, 2, 32, 1e-3, 1e-3))
    written = []
    threads = torch.get_num_threads()
    for folder in (tmp_path / "one", tmp_path / "two"):
        arguments = f"--target-steps 2 --draft-steps 2 --seed 3 --threads {threads} --out"
        train.main([*arguments.split(), str(folder)])
        files = ["target/model.safetensors", "draft/model.safetensors", "target/tokenizer.json"]
        written.append([(folder / name).read_bytes() for name in files])
    assert written[0] == written[1]
    assert "--seed 3" in (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
