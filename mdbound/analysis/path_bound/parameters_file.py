"""Coefficients of the path bound in a JSON file, to be used on other captures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mdbound.analysis.path_bound.contexts import Floats
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache.store.atomic_files import replacing
from mdbound.trees import Paths
from mdbound.trees.optima.path_bound.choose import Coefficients
from mdbound.trees.optima.path_bound.forms import Gate
from mdbound.trees.optima.path_bound.hats import BASES

#: Bytes of a file: a law of eight tokens takes about a hundred thousand.
LARGEST_FILE = 1 << 26

#: Paths and tokens that coefficients can be for.
MOST_PATHS, LONGEST = 1024, 64

_VERSION = 1


@dataclass(frozen=True)
class LawCoefficients:
    """Both forms for one law.

    Attributes:
        draft: The draft that they were fitted for.
        law: K paths of L tokens.
        forms: By form.
    """

    draft: str
    law: Paths
    forms: Mapping[str, Coefficients]


@dataclass(frozen=True)
class BoundParameters:
    """What a run fitted, on one half of the documents of a capture.

    Attributes:
        capture: Identity of the capture.
        laws: Each draft and law.
    """

    capture: str
    laws: tuple[LawCoefficients, ...]

    def of(self, law: Paths, capture: str) -> Mapping[str, Coefficients]:
        """The forms for a law, of the first draft that has them.

        Args:
            law: K paths of L tokens.
            capture: Identity of the capture that they are to be used on.

        Raises:
            InvalidSettingError: There are none, or they were fitted on that very capture.
        """
        if capture == self.capture:
            raise InvalidSettingError(
                "`parameters` were fitted on this capture: leave them out, and each half of the "
                "documents is bounded with those of the other"
            )
        for each in self.laws:
            if each.law == law:
                return each.forms
        known = ", ".join(f"{each.law.num_paths}:{each.law.length}" for each in self.laws)
        raise InvalidSettingError(
            f"`parameters` were not fitted for {law.title()}, but for {known}: fit them, too"
        )


def write_parameters(parameters: BoundParameters, out: Path | str) -> None:
    """Write the file.

    Raises:
        OutputError: It cannot be written.
    """
    raw = {
        "mdbound_path_bound": _VERSION,
        "capture": parameters.capture,
        "laws": [law_as_dict(each) for each in parameters.laws],
    }
    with replacing(Path(out)) as temporary:
        temporary.write_text(json.dumps(raw) + "\n", encoding="utf-8")


def law_as_dict(one: LawCoefficients) -> dict[str, Any]:
    """Coefficients of one law, ready for JSON."""
    forms = {
        form: {
            "basis": each.basis,
            "ridge": each.ridge,
            "psi": each.psi.tolist(),
            "gate": None
            if each.gate is None
            else {
                name: getattr(each.gate, name).tolist() for name in ("eta", "kappa", "chi", "last")
            },
        }
        for form, each in one.forms.items()
    }
    return {
        "draft": one.draft,
        "num_paths": one.law.num_paths,
        "length": one.law.length,
        "forms": forms,
    }


def read_parameters(path: Path | str) -> BoundParameters:
    """Read a file of `write_parameters`, which anybody may have written.

    Raises:
        CacheError: It is missing, too large, or no such file; the message says where it is wrong.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise CacheError(f"{path} has more than {LARGEST_FILE} bytes: no file of parameters")
        raw = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(raw, dict) or raw.get("mdbound_path_bound") != _VERSION:
            raise ValueError(f"it does not say mdbound_path_bound {_VERSION}")
        laws = tuple(law_from(each) for each in _of(raw, "laws", list))
        return BoundParameters(_of(raw, "capture", str), laws)
    except OSError as error:
        raise CacheError(f"{path} cannot be read ({error}); fit the bound again") from error
    except (KeyError, TypeError, ValueError, RecursionError, OverflowError) as error:
        raise CacheError(f"{path} is no file of parameters ({error}); fit again") from error


def law_from(raw: Any) -> LawCoefficients:
    """Coefficients of one law as `law_as_dict` made them; nothing in them is believed.

    Raises:
        KeyError: A part is missing.
        TypeError: A part is of another kind.
        ValueError: Numbers are not as many as they should be, or not finite.
    """
    num_paths, length = (_of(raw, name, int) for name in ("num_paths", "length"))
    if not (1 <= num_paths <= MOST_PATHS and 1 <= length <= LONGEST):
        raise ValueError(f"{num_paths} paths of {length} tokens")
    forms = _of(raw, "forms", dict)
    if not forms or not set(forms) <= {"psi", "gate"}:
        raise ValueError(f"forms are {', '.join(map(str, forms))}")
    found = {form: _form_from(each, length) for form, each in forms.items()}
    if any(form != each.form for form, each in found.items()):
        raise ValueError("a form is not what it is called")
    return LawCoefficients(_of(raw, "draft", str), Paths(num_paths, length), found)


def _form_from(raw: Any, length: int) -> Coefficients:
    basis = _of(raw, "basis", int)
    if not 0 <= basis < len(BASES):
        raise ValueError(f"basis {basis}")
    size = BASES[basis].size
    psi = _numbers(raw["psi"], (length, size), "psi", least=0.0)
    gate = None
    if raw["gate"] is not None:
        above = {
            name: _numbers(raw["gate"][name], (length - 1, size), name)
            for name in ("eta", "kappa", "chi")
        }
        last = _numbers(raw["gate"]["last"], (size,), "last", least=0.0)
        gate = Gate(**above, last=last, worth=psi)
    return Coefficients(basis, psi, gate, float(_of(raw, "ridge", float | int)))


def _numbers(raw: Any, shape: Sequence[int], name: str, least: float = -np.inf) -> Floats:
    found = np.array(raw, dtype=np.float64)
    if found.shape != tuple(shape) or not np.isfinite(found).all() or (found < least).any():
        raise ValueError(f"{name} is not of {tuple(shape)} finite numbers of {least} or more")
    return found


def _of(raw: Any, name: str, kind: Any) -> Any:
    if not isinstance(raw, dict) or not isinstance(raw[name], kind) or isinstance(raw[name], bool):
        raise TypeError(f"{name} is missing or of another kind")
    return raw[name]
