"""A probe asks a loaded model what could otherwise only be supposed about it."""
