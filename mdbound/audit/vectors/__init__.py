"""Reference vectors: exact answers that verification kernels in any language are tested with."""
