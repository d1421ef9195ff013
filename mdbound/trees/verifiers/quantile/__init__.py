"""Quantile-score path selection: which of K paths is largest when rests are known by quantile."""
