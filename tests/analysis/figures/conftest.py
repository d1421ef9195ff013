from __future__ import annotations

import pytest

from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.results import Results, open_results
from mdbound.analysis.solving.solve_cache import solve_cache
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.logits_cache.store.cache import LogitsCache
from tests.analysis.conftest import make_cache

QUICK = Bootstrap(resamples=100)

GRIDS = (
    # n, temperature and schemes
    SolveGrid(
        sampling=("with_replacement", "without_replacement"),
        temperatures=(0.5, 1.0),
        num_drafts=(1, 2, 3),
        schemes=("k_seq", "rrs_with_replacement"),
    ),
    # two independent drafts, and identical ones beside them
    SolveGrid(
        sampling=("independent", "with_replacement"),
        draft_temperatures=(0.8,),
        draft_temperature_sets=((0.8, 0.8), (0.8, 1.2), (1.2, 1.2)),
        num_drafts=(2,),
        schemes=("nss",),
    ),
    SolveGrid(sampling=("with_replacement",), vocabulary_sizes=(2, 5, None), num_drafts=(3,)),
)


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("figures")
    cache = LogitsCache.open(make_cache(folder / "cache", drafts=1))
    settings = dict.fromkeys(each for grid in GRIDS for each in grid.settings(["small"]))
    return open_results(solve_cache(cache, tuple(settings), folder / "r.parquet").path)
