"""What samplers share: draws of tokens, one speculative step, and reproducible streams."""
