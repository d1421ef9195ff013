"""The path bound of captures and of generated rows: fitted on one half, reported on the other."""
