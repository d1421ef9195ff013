"""Audits of what can only be run: sequential tests on draws, and on traces of a server."""
