"""Real signals to a real process: nothing finished is lost, nothing half-written is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mdbound.errors import CacheError
from mdbound.logits_cache import LogitsCache
from mdbound.logits_cache.capturing.capture import capture
from mdbound.logits_cache.capturing.settings import CaptureSettings

DOCUMENTS = 120


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_signal_loses_at_most_the_shard_in_hand(
    pair: tuple[str, str], tmp_path: Path, kind: signal.Signals
) -> None:
    text = tmp_path / "prompts.jsonl"
    lines = [json.dumps({"text": f"Question number {i}?"}) for i in range(DOCUMENTS)]
    text.write_text("\n".join(lines), encoding="utf-8")
    settings = CaptureSettings(
        target=pair[0], drafts=(pair[1],), text=(str(text),), out=tmp_path / "cache",
        mode="generate", max_new_tokens=24, batch_size=2, shard_rows=40, device="cpu",
    )  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "mdbound", "capture", *_options(settings)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _wait_for_shards(settings.out, 2, process)
        process.send_signal(kind)
        _, message = process.communicate(timeout=120)
    finally:
        process.kill()
    interrupted = LogitsCache.open(settings.out)
    assert not interrupted.manifest.complete
    interrupted.verify()
    if kind == signal.SIGINT:
        assert process.returncode == 130
        assert message == "mdbound: interrupted; finished shards are kept, run again to resume\n"
    # A signal may fall between opening a file and guarding it: the next run sweeps up.
    summary = capture(settings)
    assert 0 < summary.new_positions < summary.positions
    assert not list(settings.out.rglob("*.partial"))
    resumed = LogitsCache.open(settings.out)
    resumed.verify()
    assert resumed.shards[: len(interrupted.shards)] == interrupted.shards
    documents = {doc for b in resumed.iter_batches([]) for doc in b.positions["doc_id"]}
    assert documents == set(range(DOCUMENTS))


def _options(settings: CaptureSettings) -> list[str]:
    options = {
        "--target": settings.target,
        "--draft": settings.drafts[0],
        "--text": settings.text[0],
        "--out": settings.out,
        "--mode": settings.mode,
        "--max-new-tokens": settings.max_new_tokens,
        "--batch-size": settings.batch_size,
        "--shard-rows": settings.shard_rows,
        "--device": settings.device,
    }
    return [str(part) for item in options.items() for part in item]


def _wait_for_shards(cache: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if len(LogitsCache.open(cache).shards) >= count:
                return
        except CacheError:
            pass  # not begun yet
        time.sleep(0.02)
    pytest.fail(f"capture ended or stalled before {count} shards (status {process.poll()})")
