"""Verifiers of draft trees, one file each."""
