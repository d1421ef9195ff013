"""The linear programs: optimal transport, importance sampling, and what solves them."""
