"""From a capture to results: solving, statistics, tables."""
