"""What laws and schemes are called where people read them: tables, figures, pages."""

from __future__ import annotations

from collections.abc import Mapping

LAW_NAMES: Mapping[str, str] = {
    "with_replacement": "with repl.",
    "without_replacement": "without repl.",
    "independent": "indep.",
}
"""Short, so that two columns of a legend fit one column of a paper."""

SCHEME_NAMES: Mapping[str, str] = {
    "nss": "NSS",
    "k_seq": "K-SEQ",
    "k_seq_membership": "K-SEQ, membership",
    "rrs_with_replacement": "RRS with repl.",
    "rrs_without_replacement": "RRS without repl.",
    "rrs_skip_repeats": "RRS, repeats skipped",
    "spechub": "SpecHub",
    "importance_sampling": "imp. sampling",
    "gumbel_list": "Gumbel list",
    "gbv": "GBV",
    "univer": "UniVer",
}


def law_name(law: str) -> str:
    """A draft law in words.

    Example:
        >>> law_name("with_replacement"), law_name("greedy")
        ('with repl.', 'greedy')
    """
    return LAW_NAMES.get(law, law.replace("_", " "))


def scheme_name(scheme: str) -> str:
    """A scheme or verifier in words.

    Example:
        >>> scheme_name("k_seq"), scheme_name("single_draft")
        ('K-SEQ', 'single draft')
    """
    return SCHEME_NAMES.get(scheme, scheme.replace("_", " "))


def in_words(label: str, value: str) -> str:
    """A cell of a leading column as readers see it, by what the column is called.

    Example:
        >>> in_words("scheme", "k_seq"), in_words("draft", "skip_14")
        ('K-SEQ', 'skip_14')
    """
    if label == "draft law":
        return law_name(value)
    if label in ("scheme", "verifier", "verification"):
        return scheme_name(value)
    if label == "task":
        return value.replace("_", " ")
    return value
