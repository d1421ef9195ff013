"""From a cache to results: settings, grids, batches, the results file and its provenance."""
