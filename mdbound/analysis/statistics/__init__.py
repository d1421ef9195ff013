"""Means over documents and tasks with bootstrap intervals."""
