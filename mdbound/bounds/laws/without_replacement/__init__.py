"""Sequential draws, renormalised after each: exponential clocks, searched without sorting."""
