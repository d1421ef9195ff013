"""n i.i.d. draws from q: the best prefix of the order q/p, found in buckets without sorting."""
