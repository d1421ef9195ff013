"""How figures look: size, fonts, and the colours, dashes and markers of laws and schemes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from mdbound.analysis.solving.results import BOUND
from mdbound.errors import MissingDependencyError

if TYPE_CHECKING:
    # matplotlib is an optional extra, so that types cannot be relied on.
    Axes: TypeAlias = Any
    Figure: TypeAlias = Any

#: Width of one column of a two-column paper, in inches.
COLUMN_WIDTH = 3.3

#: Text and axes. The HTML page swaps this very colour for the reader's own.
INK = "#1a1a1a"

#: Colour-blind safe colours of Okabe and Ito (2008), with grey for their black (that is `INK`) and
#: without their yellow (too pale on white); three more, so that no two schemes share one. The HTML
#: page lightens them on dark ground, by name.
PALETTE = {
    "blue": "#0072b2",
    "vermillion": "#d55e00",
    "green": "#009e73",
    "purple": "#cc79a7",
    "orange": "#e69f00",
    "sky": "#56b4e9",
    "grey": "#808080",
    "brown": "#7f4f24",
    "teal": "#3a9188",
    "olive": "#8a8a00",
}

#: Opacity of the band around a line.
BAND_OPACITY = 0.18

#: Map from low to high that reads the same in grey and to the colour-blind.
COLOUR_MAP = "cividis"

#: Optima are dark in every figure, and dashes tell their draft laws apart, in grey, too; colours
#: are for schemes. So no colour has two meanings.
_LAW_DASHES: dict[str, Any] = {
    "with_replacement": "-",
    "without_replacement": (0, (6, 1.5)),
    "greedy": (0, (2, 1.2)),
    "independent": (0, (6, 1.5, 1, 1.5)),
}

_LAW_MARKERS = {
    "with_replacement": "o",
    "without_replacement": "s",
    "greedy": "^",
    "independent": "D",
}

_SCHEME_COLOURS = {
    "single_draft": PALETTE["grey"],
    "nss": PALETTE["sky"],
    "first_draft": PALETTE["brown"],
    "rrs_with_replacement": PALETTE["vermillion"],
    "rrs_without_replacement": PALETTE["blue"],
    "k_seq": PALETTE["purple"],
    "k_seq_membership": PALETTE["purple"],  # the same algorithm with another constant
    "spechub": PALETTE["olive"],
    "greedy": PALETTE["green"],
    "importance_sampling": PALETTE["orange"],
    "gumbel_list": PALETTE["teal"],
    "optimal": INK,
}

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES = ("--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))

# Its keys are literals to newer matplotlib's types, and untyped in older ones.
_SETTINGS: Any = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so that bytes are the same everywhere
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "legend.columnspacing": 1.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.35,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.2,
    "axes.axisbelow": True,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    ),
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,  # TrueType: some journals refuse Type 3
    "svg.hashsalt": "mdbound",  # ids of clip paths, else different in every run
    "svg.fonttype": "none",  # text, which can be searched and edited
    "text.usetex": False,
}


@dataclass(frozen=True)
class LineStyle:
    """Colour, dashes, marker and width of a line.

    Attributes:
        colour: Of line and band.
        dashes: As matplotlib's `linestyle`.
        marker: As matplotlib's, or empty for none.
        width: In points.
        hollow: Whether markers are rings.
    """

    colour: str
    dashes: Any = "-"
    marker: str = ""
    width: float = 1.2
    hollow: bool = False


def law_style(law: str) -> LineStyle:
    """Style of the bound of a draft law, where several laws share axes.

    Example:
        >>> law_style("greedy").marker, law_style("greedy").colour == INK
        ('^', True)
    """
    return LineStyle(INK, _LAW_DASHES.get(law, "-"), _LAW_MARKERS.get(law, "v"), width=1.3)


def scheme_style(scheme: str) -> LineStyle:
    """Style of a scheme, the same in every figure; the bound is a plain dark line.

    Example:
        >>> scheme_style("bound").marker, scheme_style("k_seq") == scheme_style("nss")
        ('', False)
    """
    if scheme == BOUND:
        return LineStyle(INK, width=1.6)
    from mdbound import schemes

    at = schemes.names().index(scheme) if scheme in schemes.names() else len(schemes.names())
    colours = list(PALETTE.values())
    colour = _SCHEME_COLOURS.get(scheme, colours[at % len(colours)])
    return LineStyle(colour, _DASHES[at % len(_DASHES)], _MARKERS[at % len(_MARKERS)])


@contextmanager
def figure_settings() -> Iterator[None]:
    """Apply the settings of this module, whatever the user's own; drawing and saving need it.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MissingDependencyError(
            "figures need matplotlib; install it with `pip install 'mdbound[plots]'`"
        ) from error
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield
