"""Which topology is best for a pair: measured acceptance by slot, searched, and evaluated again."""
