"""Figures show the numbers of the results, and nothing covers or clips anything."""

from __future__ import annotations

import itertools
import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mdbound import bounds, schemes
from mdbound.analysis.figures import FIGURES, Drawing, FigureOptions, draw, draw_all
from mdbound.analysis.figures.layout import arrange, new_figure
from mdbound.analysis.figures.lines import Line, draw_lines
from mdbound.analysis.figures.save import FORMATS, inline_svg, write_as, write_drawing
from mdbound.analysis.figures.style import INK, figure_settings, law_style, scheme_style
from mdbound.analysis.solving.results import Results, open_results
from mdbound.analysis.solving.solve_cache import solve_cache
from mdbound.errors import InvalidSettingError, MissingDependencyError
from mdbound.logits_cache.store.cache import LogitsCache
from mdbound.schemes import names
from tests.analysis.conftest import make_cache
from tests.analysis.figures.conftest import GRIDS, QUICK

backend_agg = pytest.importorskip("matplotlib.backends.backend_agg")

SAME = {"temperature": (1.0,), "draft_temperatures": ("1.0",), "vocabulary_size": (None,)}


def options(**where: Any) -> FigureOptions:
    return FigureOptions(QUICK, where)


@pytest.fixture(scope="module")
def drawings(results: Results) -> dict[str, Drawing]:
    return {drawing.name: drawing for drawing in draw_all(results, options())}


def curve(axes: Any, label: str) -> dict[float, float]:
    (line,) = [line for line in axes.get_lines() if line.get_label() == label]
    return dict(zip(line.get_xdata(), line.get_ydata(), strict=True))


def bars(axes: Any, label: str) -> dict[float, float]:
    """Points of a line that is not joined."""
    (found,) = [each for each in axes.containers if each.get_label() == label]
    return dict(zip(*found[0].get_data(), strict=True))


def rows(results: Results, **where: Any) -> pl.DataFrame:
    wanted = {"draft_temperatures": "1.0", "temperature": 1.0, "vocabulary_size": None, **where}
    return results.frame.filter(
        pl.col(name).eq_missing(pl.lit(value)) for name, value in wanted.items()
    ).collect()


def average(frame: pl.DataFrame, name: str = "acceptance") -> float:
    return float(frame[name].to_numpy().mean())


def test_acceptance_has_a_panel_per_law_and_the_mean_of_every_scheme(results: Results) -> None:
    with_, without, _ = draw("acceptance", results, options()).figure.axes
    assert [each.get_title(loc="left") for each in (with_, without)] == [
        "with replacement",
        "without replacement",
    ]
    for label, scheme in (("bound", "bound"), ("K-SEQ", "k_seq")):
        shown = curve(with_, label)
        for n in (2, 3):
            raw = rows(results, sampling="with_replacement", scheme=scheme, num_drafts=n)
            assert shown[n] == pytest.approx(average(raw), abs=1e-12)
    raw = rows(results, sampling="without_replacement", scheme="bound", num_drafts=3)
    assert curve(without, "bound")[3] == pytest.approx(average(raw), abs=1e-12)


def test_bounds_alone_share_one_panel(results: Results) -> None:
    drawing = draw("acceptance", results, options(**SAME, scheme=("bound",)))
    (axes,) = drawing.figure.axes
    assert {line.get_label() for line in axes.get_lines()} == {
        "bound, with repl.",
        "bound, without repl.",
    }
    assert "Held fixed: target arrays; draft small; temperature 1.0" in drawing.caption
    assert "too narrow to rely on with 6 documents." in drawing.caption


def test_gap_is_taken_position_by_position(results: Results) -> None:
    (axes,) = draw(
        "gap", results, options(num_drafts=(2,), sampling=("with_replacement",))
    ).figure.axes
    shown = bars(axes, "RRS with repl.")
    for temperature in (0.5, 1.0):
        of = {"num_drafts": 2, "sampling": "with_replacement", "temperature": temperature}
        of["draft_temperatures"] = str(temperature)
        bound = average(rows(results, scheme="bound", **of))
        rate = average(rows(results, scheme="rrs_with_replacement", **of))
        (at,) = [x for x in shown if abs(x - temperature) < 0.1]
        assert shown[at] == pytest.approx(bound - rate, abs=1e-12)
    assert axes.get_ylim()[0] <= 0
    # Nothing is known between two temperatures, so nothing is drawn there.
    assert all(line.get_linestyle() == "None" for line in axes.get_lines())


def test_vocabulary_ends_at_the_whole_one(results: Results) -> None:
    wanted = options(sampling=("with_replacement",), scheme=("bound",))
    drawing = draw("vocabulary", results, wanted)
    (axes,) = drawing.figure.axes
    shown = curve(axes, "bound")
    assert list(shown) == [2, 5, 12]
    assert axes.get_xticklabels()[0].get_text() == "12\n(all)"
    raw = rows(results, vocabulary_size=5, num_drafts=3, sampling="with_replacement")
    assert shown[5] == pytest.approx(average(raw), abs=1e-12)
    assert "the target's most likely tokens" in drawing.caption


def test_ecdf_counts_positions(results: Results) -> None:
    of = options(num_drafts=(2,), sampling=("with_replacement",), **SAME)
    top, bottom = draw("ecdf", results, of).figure.axes
    values = rows(results, num_drafts=2, sampling="with_replacement", scheme="bound")["acceptance"]
    for x, share in curve(top, "bound").items():
        assert share == pytest.approx(float((values <= x + 1e-12).to_numpy().mean()), abs=1e-12)
    for label in ("K-SEQ", "RRS with repl."):
        heights = list(curve(bottom, label).values())
        assert heights == sorted(heights)
        assert heights[-1] == 1.0


def test_entropy_bins_average_to_the_mean(results: Results) -> None:
    of = options(num_drafts=(2,), sampling=("with_replacement",), scheme=("bound",), **SAME)
    (axes,) = draw("entropy", results, of).figure.axes
    shown = curve(axes, "bound")
    raw = rows(results, num_drafts=2, sampling="with_replacement", scheme="bound")
    assert len(shown) == 2  # 24 positions
    entropies = raw["target_entropy"].to_numpy()
    low = entropies <= np.quantile(entropies, 0.5)
    assert list(shown) == pytest.approx([entropies[low].mean(), entropies[~low].mean()], abs=1e-8)
    acceptance = raw["acceptance"].to_numpy()
    assert list(shown.values()) == pytest.approx(
        [acceptance[low].mean(), acceptance[~low].mean()], abs=1e-12
    )


def test_heat_map_is_symmetric_for_one_model(results: Results) -> None:
    axes = draw("draft-temperatures", results, options()).figure.axes[0]
    cells = np.asarray(axes.get_images()[0].get_array())
    np.testing.assert_array_equal(cells, cells.T)
    raw = rows(results, sampling="independent", scheme="bound", draft_temperatures="0.8|1.2")
    assert cells[0, 1] == pytest.approx(average(raw), abs=1e-12)
    frame = axes.patches[0]
    best = np.unravel_index(cells.argmax(), cells.shape)
    assert (frame.get_x() + 0.5, frame.get_y() + 0.5) in {tuple(best), tuple(best[::-1])}


def test_second_draft_has_identical_drafts_as_a_level(results: Results) -> None:
    (axes,) = draw("second-draft", results, options()).figure.axes
    shown = curve(axes, "bound")
    assert list(shown) == [0.8, 1.2]
    (level,) = set(curve(axes, "bound, identical").values())
    assert shown[0.8] == pytest.approx(level, abs=1e-9)  # both drafts at 0.8


def test_one_document_has_no_bands(tmp_path: Path) -> None:
    cache = LogitsCache.open(make_cache(tmp_path / "c", drafts=1, rows=4))
    settings = GRIDS[0].settings(["small"])
    alone = open_results(solve_cache(cache, settings, tmp_path / "r.parquet").path)
    for drawing in draw_all(alone, options(task=("qa",))):
        assert "No bands: one document" in drawing.caption
        write_drawing(drawing, tmp_path)


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_clipped_and_the_legend_covers_no_data(
    drawings: dict[str, Drawing], name: str
) -> None:
    with figure_settings():
        figure = drawings[name].figure
        canvas = backend_agg.FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        whole = figure.bbox.padded(0.5)
        boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
        legends = [legend.get_window_extent(renderer) for legend in figure.legends]
    columns = {round(axes.get_position().x0, 3) for axes in figure.axes}
    side_by_side = len(columns) > 1 and name != "draft-temperatures"
    assert figure.get_figwidth() == pytest.approx(6.8 if side_by_side else 3.3)
    for box in (*boxes, *legends):
        assert whole.contains(box.x0, box.y0)
        assert whole.contains(box.x1, box.y1)
    for legend, box in itertools.product(legends, boxes):
        assert not legend.overlaps(box)


def test_every_figure_says_what_it_holds_fixed(drawings: dict[str, Drawing]) -> None:
    for name, drawing in drawings.items():
        written = " ".join(each.get_text() for each in drawing.figure.texts)
        assert ("Held fixed: target arrays" in written) == (name != "draft-temperatures"), name


def test_svg_has_text_as_text(drawings: dict[str, Drawing], tmp_path: Path) -> None:
    text = write_as(drawings["acceptance"], tmp_path / "f.svg").read_text()
    assert ">acceptance</text>" in text


def test_optima_are_dark_and_schemes_have_colours_of_their_own() -> None:
    laws = [law_style(law) for law in bounds.SAMPLING_LAWS]
    assert {style.colour for style in laws} == {INK}
    assert len({str(style.dashes) for style in laws}) == len(laws)
    styles = {name: scheme_style(name) for name in schemes.names()}
    colours = {name: style.colour for name, style in styles.items()}
    same = [name for name in colours if list(colours.values()).count(colours[name]) > 1]
    assert same == ["k_seq", "k_seq_membership"]
    assert colours["optimal"] == scheme_style("bound").colour == INK


def test_a_line_on_another_has_rings(drawings: dict[str, Drawing]) -> None:
    with figure_settings():
        _, (axes,) = new_figure()
        x = np.array([1.0, 2.0])
        band = np.full(2, np.nan)
        bound = Line("greedy", "bound", x, np.array([0.5, 0.6]), band, band)
        scheme = replace(bound, scheme="greedy")
        other = replace(bound, scheme="spechub", mean=np.array([0.4, 0.5]))
        draw_lines(axes, [bound, scheme, other])
    hollow = [line.get_markerfacecolor() == "none" for line in axes.get_lines()]
    assert hollow == [False, True, False]


def test_distributions_are_steps_at_values_that_occur(
    drawings: dict[str, Drawing], results: Results
) -> None:
    axes = drawings["ecdf"].figure.axes[0]
    line = axes.get_lines()[0]
    assert line.get_drawstyle() == "steps-post"
    x, y = line.get_data()
    law = line.get_label().removeprefix("bound, ").replace("repl.", "replacement").replace(" ", "_")
    values = rows(results, scheme="bound", sampling=law, num_drafts=2)["acceptance"].to_numpy()
    for at, share in zip(x, y, strict=True):
        assert share == pytest.approx((values <= at + 1e-12).mean(), abs=1e-9)


def test_draw_all_draws_what_the_results_hold(drawings: dict[str, Drawing]) -> None:
    assert list(drawings) == list(FIGURES)


def test_long_numbers_leave_room_for_the_label() -> None:
    with figure_settings():
        figure, (axes,) = new_figure()
        axes.plot([0, 1], [0.0001, 0.0012], label="line")
        axes.set_ylabel("bound − scheme")
        arrange(figure, [axes])
        canvas = backend_agg.FigureCanvasAgg(figure)
        canvas.draw()
        label = axes.yaxis.get_label().get_window_extent(canvas.get_renderer())
        numbers = [each.get_window_extent(canvas.get_renderer()) for each in axes.get_yticklabels()]
    assert label.x0 >= 0
    assert all(label.x1 < number.x0 for number in numbers)


@pytest.mark.parametrize("ending", FORMATS)
def test_the_same_figure_has_the_same_bytes(results: Results, tmp_path: Path, ending: str) -> None:
    first, second = (
        write_as(draw("gap", results, options()), tmp_path / f"{at}.{ending}").read_bytes()
        for at in range(2)
    )
    assert first == second
    assert b"Matplotlib v" not in first


def test_an_equal_file_is_left_alone(results: Results, tmp_path: Path) -> None:
    files = write_drawing(draw("gap", results, options()), tmp_path)
    times = [file.stat().st_mtime_ns for file in files]
    assert write_drawing(draw("gap", results, options()), tmp_path) == files
    assert [file.stat().st_mtime_ns for file in files] == times


@pytest.mark.parametrize("name", FIGURES)
def test_inline_svg_stands_alone(drawings: dict[str, Drawing], name: str) -> None:
    text = inline_svg(drawings[name])
    root = ET.fromstring(text.replace("<svg ", "<svg xmlns:xlink='x' ", 1))
    ids = [each.get("id") for each in root.iter() if each.get("id")]
    assert len(ids) == len(set(ids))
    assert all(str(each).startswith(f"{name}-") for each in ids)
    for used in re.findall(r'(?:href="#|url\(#)([^")]+)', text):
        assert used in ids
    assert "http" not in text
    assert INK not in text
    assert "currentColor" in text


def test_schemes_never_look_alike() -> None:
    looks = [(style.colour, style.marker) for style in map(scheme_style, names())]
    assert len(looks) == len(set(looks))


@pytest.mark.parametrize(
    ("name", "where", "message"),
    [
        ("gap", {"scheme": ("bound",)}, "no schemes; solve with `schemes` all"),
        ("gap", {"temperature": (1.0,)}, "one temperature only"),
        ("acceptance", {"num_drafts": (2,)}, "one number of drafts only"),
        ("vocabulary", {"vocabulary_size": (None,)}, "one vocabulary only"),
        ("draft-temperatures", {"sampling": ("greedy",)}, "no results with sampling = greedy"),
        ("second-draft", {"sampling": ("with_replacement",)}, "no two independent drafts"),
        ("acceptanc", {}, "did you mean 'acceptance'?"),
    ],
)
def test_what_cannot_be_drawn_says_why(
    results: Results, name: str, where: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidSettingError, match=re.escape(message)):
        draw(name, results, options(**where))


def test_another_ending_is_refused(results: Results, tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingError, match=r"a figure ends in \.pdf, \.png, \.svg"):
        write_as(draw("gap", results, options()), tmp_path / "gap.jpg")


def test_without_matplotlib_the_extra_is_named(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"mdbound\[plots\]"):
        draw("gap", results, options())
