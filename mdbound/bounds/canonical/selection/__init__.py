"""Which drafted token to select: a rule for each draft law."""
