"""The canonical decomposition of Khisti et al. 2025 at full vocabulary."""
