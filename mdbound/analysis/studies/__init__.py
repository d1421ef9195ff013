"""Whole grids of settings from a file, run piece by piece and resumed."""
