"""How draft trees are drawn: what is drafted at a node, and what happens to its children."""
