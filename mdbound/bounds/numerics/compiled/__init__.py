"""How kernels are compiled, kept, and run over rows on several threads."""
