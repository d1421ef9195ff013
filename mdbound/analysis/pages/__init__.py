"""HTML pages of results and studies."""
