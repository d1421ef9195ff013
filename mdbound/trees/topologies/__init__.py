"""What a draft tree looks like before tokens are drawn: which child of a node has children."""
