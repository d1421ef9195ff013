"""Tokens per call along one drafted path: from a capture or from log-probabilities to tables."""
