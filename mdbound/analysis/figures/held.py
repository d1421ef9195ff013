"""What a figure of one pair at one setting holds fixed, in words that stand in the file."""

from __future__ import annotations

from mdbound.analysis.solving.results import Results
from mdbound.analysis.tables.table import LABEL_NAMES, shown

_LAWS = ("draft", "temperature", "top_k", "top_p", "min_p", "draft_temperature")


def held_words(results: Results) -> str:
    """Target, draft and the settings that all rows share.

    Args:
        results: Of `paths` or `trees`.

    Example:
        >>> from pathlib import Path
        >>> import polars as pl
        >>> from mdbound.analysis.solving.results import Provenance
        >>> rows = pl.LazyFrame({"draft": ["small"], "temperature": [0.7], "top_k": [None]})
        >>> provenance = Provenance("1", "ab", {"target": "models/big.gguf"}, [])
        >>> held_words(Results(Path("r"), provenance, rows))
        'Held fixed: target big.gguf; draft small; temperature 0.7.'
    """
    columns = [name for name in _LAWS if name in results.frame.collect_schema()]
    laws = results.frame.select(columns).unique().collect()
    target = results.provenance.capture.get("target")
    words = [] if target is None else [f"target {str(target).rsplit('/', 1)[-1]}"]
    for name in columns:
        values = laws[name].unique().to_list()
        if len(values) == 1 and values[0] is not None:
            label = LABEL_NAMES.get(name, name.replace("_", " "))
            words.append(f"{label} {shown(values[0])}")
    return f"Held fixed: {'; '.join(words)}."
