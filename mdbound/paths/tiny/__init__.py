"""Tiny problems, where every path can be written down: kernels, laws of lengths, programs."""
