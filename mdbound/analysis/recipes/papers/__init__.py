"""The experiments of papers, as data: one file for those that run alike."""
