"""Arithmetic that knows no draft law: exponentials, sums, quadrature, selection of tokens."""
