"""How the optimum changes with the draft."""
