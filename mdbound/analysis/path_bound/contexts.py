"""Contexts with their paths and texts, as the path bound needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdbound.trees import Paths
from mdbound.trees.optima.path_bound.features import PathFeatures

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Places:
    """Where contexts are.

    Attributes:
        doc_id: Documents, (n,).
        task: Their tasks.
        position: Positions there, (n,).
        number: Numbers of the trees at the position, (n,).
        entropy: Of the target there, nats, (n,).
        overlap: Sum over tokens of min(p, q) there, (n,).
    """

    doc_id: NDArray[np.int64]
    task: list[str]
    position: NDArray[np.int64]
    number: NDArray[np.int64]
    entropy: Floats
    overlap: Floats


@dataclass(frozen=True)
class BoundContexts:
    """Contexts of one capture and draft, or generated ones.

    Attributes:
        places: Where they are.
        features: Of their paths and texts.
        depth_terms: For each law the terms of the bound by depth, (n, L, thresholds); of laws of
            more paths than contexts hold there are none.
    """

    places: Places
    features: PathFeatures
    depth_terms: Mapping[Paths, Floats]
