"""Results held against certificates, linear programs and the cache."""
