"""Offsets of quantile-score selection, chosen on one half of a text's documents."""
