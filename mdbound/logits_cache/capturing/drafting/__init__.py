"""What drafts draw at contexts of the text: paths and trees, and both models' logits there."""
