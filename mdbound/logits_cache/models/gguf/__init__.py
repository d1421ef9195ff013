"""Models in `.gguf` files: read once, applied whole, refused where a part would be dropped."""
