"""From a plan to logits on disk: score or generate, record, resume."""
