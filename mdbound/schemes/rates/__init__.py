"""Rates in numbers: residual masses, rejection paths, residual draws that hit, and integrals."""
