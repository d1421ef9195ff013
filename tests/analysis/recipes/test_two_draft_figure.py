from __future__ import annotations

import itertools
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mdbound.analysis.recipes.two_draft_figure import (
    CURVES,
    two_draft_panel,
    write_two_draft_figure,
)
from mdbound.errors import InvalidSettingError, MissingDependencyError, OutputError


def exact_optimum(p: tuple[Fraction, ...]) -> Fraction:
    subsets = itertools.chain.from_iterable(itertools.combinations(range(3), k) for k in range(4))
    return min(
        1 + sum((p[t] for t in held), Fraction(0)) - Fraction(len(held), 3) ** 2 for held in subsets
    )


@pytest.mark.parametrize("first", [Fraction(1, 3), Fraction(1, 6)])
def test_optimum_is_exact_and_above_the_schemes(first: Fraction) -> None:
    panel = two_draft_panel(first, points=25)
    for k in range(25):
        x = (1 - first) * Fraction(k, 24)
        exact = exact_optimum((first, x, 1 - first - x))
        assert panel.acceptance["optimal"][k] == pytest.approx(float(exact), abs=1e-15)
        assert bool(panel.equals_one[k]) == (exact == 1)
    for name in CURVES:
        assert (panel.acceptance[name] <= panel.acceptance["optimal"] + 1e-15).all()
        np.testing.assert_allclose(panel.acceptance[name], panel.acceptance[name][::-1], atol=1e-14)


def test_the_published_picture() -> None:
    """The optimum is 1 for 1/9 <= x <= 5/9 on the left, for 5/18 <= x <= 5/9 on the right."""
    left = two_draft_panel(Fraction(1, 3), points=601)
    reached = left.x[left.equals_one]
    assert reached[0] == pytest.approx(1 / 9, abs=2e-3)
    assert reached[-1] == pytest.approx(5 / 9, abs=2e-3)
    right = two_draft_panel(Fraction(1, 6), points=601)
    reached = right.x[right.equals_one]
    assert reached[0] == pytest.approx(5 / 18, abs=2e-3)
    assert reached[-1] == pytest.approx(5 / 9, abs=2e-3)
    assert right.acceptance["k_seq"].max() < 0.97
    # SpecTr dominates SpecInfer for two drafts.
    assert (left.acceptance["k_seq"] >= left.acceptance["rrs_with_replacement"] - 1e-12).all()
    assert (left.acceptance["optimal"] - left.acceptance["k_seq"]).max() > 0.01


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_figure_is_written(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    path = write_two_draft_figure(tmp_path / "new" / f"f{suffix}", points=9)
    assert path.stat().st_size > 5_000
    assert "matplotlib.pyplot" not in sys.modules


def test_bad_arguments_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidSettingError, match=r"ending in \.png"):
        write_two_draft_figure(tmp_path / "f.txt")
    with pytest.raises(InvalidSettingError, match="`points` 1"):
        two_draft_panel(Fraction(1, 3), points=1)
    with pytest.raises(InvalidSettingError, match="`first` 2"):
        two_draft_panel(Fraction(2))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another place"):
        write_two_draft_figure(tmp_path / "file" / "f.png", points=3)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"mdbound\[plots\]"):
        write_two_draft_figure(tmp_path / "f.png", points=3)
