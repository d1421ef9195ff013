"""Published verification schemes: exact acceptance rates, samplers, branch probabilities.

Every scheme is one file of this package with one class decorated by `register`; nothing else has
to change to add one. Scheme files share `rates` and `sampling`, never one another; `contract` has
what each of them must offer.

Example:
    >>> import numpy as np
    >>> from mdbound import schemes
    >>> target, draft = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.5, 0.3])
    >>> rate = schemes.get("rrs_with_replacement").acceptance(target, draft, num_drafts=2)
    >>> round(rate.membership, 6), rate.standard_error
    (0.76, 0.0)
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from mdbound.schemes.contract.facts import fitting, names, with_token_acceptance
from mdbound.schemes.contract.registry import get, refuse_ambiguous, register
from mdbound.schemes.contract.results import Samples, SchemeRate
from mdbound.schemes.contract.scheme import Scheme

__all__ = [
    "Samples",
    "Scheme",
    "SchemeRate",
    "fitting",
    "get",
    "names",
    "refuse_ambiguous",
    "register",
    "with_token_acceptance",
]

# Registration happens on import, so that a new scheme is a new file and no list to keep.
for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
