from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mdbound.logits_cache.capturing.settings import CaptureSettings
from tests.logits_cache.small_models import make_pair

PROMPTS = [
    {"category": "qa", "turns": ["Why?"]},
    {"category": "qa", "turns": ["A rather longer question about nothing in particular"]},
    {"category": "maths", "turns": ["1 + 1 ="]},
    {"category": "", "turns": ["Tell a story of ten words, then stop."]},
    {"category": "maths", "turns": ["2 * 21"]},
]


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return make_pair(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def prompt_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "questions.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in PROMPTS), encoding="utf-8")
    return path


@pytest.fixture
def settings_for(
    pair: tuple[str, str], prompt_file: Path, tmp_path: Path
) -> Callable[..., CaptureSettings]:
    """Settings of a small capture in generate mode, with changes."""

    def make(**changes: object) -> CaptureSettings:
        defaults: dict[str, object] = {
            "target": pair[0],
            "drafts": (pair[1],),
            "text": (str(prompt_file),),
            "out": tmp_path / "cache",
            "mode": "generate",
            "max_new_tokens": 6,
            "batch_size": 2,
            "device": "cpu",
        }
        return CaptureSettings(**{**defaults, **changes})  # type: ignore[arg-type]

    return make
