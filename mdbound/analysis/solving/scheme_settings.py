"""Which verification schemes to rate beside a bound, with which options, and which are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace

from mdbound import schemes
from mdbound.analysis.solving.setting import SolveSetting
from mdbound.errors import InvalidSettingError

ALL_SCHEMES = "all"

#: The law by which schemes draft from distributions that differ; they know no other of the kind.
_LAW_OF_OWN_DISTRIBUTIONS = "independent"

#: What schemes call their number of random draws per position.
_SAMPLE_OPTIONS = ("paths", "runs")


@dataclass(frozen=True)
class LeftOut:
    """Why a scheme has no rows at some settings.

    Attributes:
        scheme: Its name.
        reason: In words, with what to change if it should be there.
    """

    scheme: str
    reason: str


def scheme_names(asked: Sequence[str]) -> tuple[str, ...]:
    """The schemes asked for, with `"all"` spelled out, in the order of tables.

    Raises:
        InvalidSettingError: No such scheme; the nearest name is suggested.

    Example:
        >>> scheme_names(["k_seq", "nss"])
        ('nss', 'k_seq')
    """
    for name in asked:
        if name != ALL_SCHEMES:
            schemes.get(name)
    return tuple(name for name in schemes.names() if ALL_SCHEMES in asked or name in asked)


def add_schemes(
    bounds: Sequence[SolveSetting], asked: Sequence[str], samples: int | None, seed: int
) -> tuple[SolveSetting, ...]:
    """Put after each bound the schemes that draft by its law, for the n they are defined for.

    Args:
        bounds: Settings of bounds.
        asked: Scheme names, or `"all"`.
        samples: Random draws per position of estimated rates; None takes each scheme's own number.
        seed: Of those draws.

    Returns:
        Bounds and schemes.

    Raises:
        InvalidSettingError: A name is unknown, a scheme asked for by name fits no setting, or
            samples or seed are out of range.

    Example:
        >>> from mdbound.bounds import Warpers
        >>> bound = SolveSetting("greedy", ("small",), Warpers(), (1.0,), (1, 2, 3))
        >>> [each.scheme for each in add_schemes([bound], ["greedy"], None, 0)]
        ['bound', 'greedy']
    """
    if samples is not None and samples < 2:
        raise InvalidSettingError(f"`scheme_samples` {samples}: give at least 2")
    if seed < 0:
        raise InvalidSettingError(f"`scheme_seed` {seed}: give 0 or more")
    names = scheme_names(asked)
    expanded = [
        each
        for bound in bounds
        for each in (bound, *(_on_bound(bound, name, samples, seed) for name in names))
        if each is not None
    ]
    rated = {each.scheme for each in expanded}
    for missing in left_out(expanded, asked):
        if missing.scheme in asked and missing.scheme not in rated:
            raise InvalidSettingError(f"`schemes` {missing.scheme}: {missing.reason}")
    return tuple(expanded)


def left_out(settings: Sequence[SolveSetting], asked: Sequence[str]) -> list[LeftOut]:
    """Say which schemes have no rows at some of the draft laws or n, and why.

    Example:
        >>> from mdbound.bounds import Warpers
        >>> bound = SolveSetting("greedy", ("small",), Warpers(), (1.0,), (1, 2))
        >>> for each in left_out([bound], ["single_draft"]):
        ...     print(each.reason)
        it drafts with_replacement; add that to `sampling`
    """
    laws = {each.sampling for each in settings}
    wanted = {n for each in settings for n in each.num_drafts}
    found = []
    for name in scheme_names(asked):
        if not any(_option_values(name, law) is not None for law in laws):
            law = schemes.get(name).sampling
            found.append(LeftOut(name, f"it drafts {law}; add that to `sampling`"))
            continue
        undefined = sorted(n for n in wanted if not schemes.get(name).supports(n))
        if undefined:
            found.append(LeftOut(name, f"not defined for n = {', '.join(map(str, undefined))}"))
    return found


def refuse_ambiguous_schemes(where: Mapping[str, Sequence[object]]) -> None:
    """Refuse a restriction to a scheme whose name stands for two: it would quietly fit no row.

    Args:
        where: Column of the results to the values kept.

    Raises:
        InvalidSettingError: With the names to give instead.

    Example:
        >>> refuse_ambiguous_schemes({"scheme": ("nss", "k_seq"), "task": ("naive",)})
    """
    for name in where.get("scheme", ()):
        schemes.refuse_ambiguous(str(name))


def make_scheme(setting: SolveSetting) -> schemes.Scheme:
    """The scheme of a setting, with its options.

    Example:
        >>> from mdbound.bounds import Warpers
        >>> setting = SolveSetting(
        ...     "with_replacement", ("small",), Warpers(), (1.0,), (2,), scheme="k_seq"
        ... )
        >>> make_scheme(setting).name
        'k_seq'
    """
    return schemes.get(setting.scheme, **dict(setting.scheme_options))


def _on_bound(
    bound: SolveSetting, name: str, samples: int | None, seed: int
) -> SolveSetting | None:
    """The setting of a scheme on the problem of a bound, or None where it does not fit."""
    options = _option_values(name, bound.sampling, samples, seed)
    num_drafts = tuple(n for n in bound.num_drafts if schemes.get(name).supports(n))
    if options is None or not num_drafts:
        return None
    return replace(bound, scheme=name, scheme_options=options, num_drafts=num_drafts)


def _option_values(
    name: str, law: str, samples: int | None = None, seed: int = 0
) -> tuple[tuple[str, int], ...] | None:
    """Options of the scheme, or None where it does not draft by this law."""
    scheme = schemes.get(name)
    known: set[str] = {each.name for each in fields(scheme)} if is_dataclass(scheme) else set()
    if law == _LAW_OF_OWN_DISTRIBUTIONS:
        # A scheme with a law of its choice has the bound as its rate here, and no sampler.
        if scheme.identical_only or "sampling" in known:
            return None
    elif scheme.sampling != law:
        return None
    options: dict[str, int] = {}
    if "seed" in known:
        options["seed"] = seed
    if samples is not None:
        options |= {option: samples for option in _SAMPLE_OPTIONS if option in known}
    return tuple(options.items())
