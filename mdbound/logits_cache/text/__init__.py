"""Documents and the passages of them that models read."""
