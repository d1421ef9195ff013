"""Offsets of quantile-score selection that were chosen on a text, and the file that keeps them."""
