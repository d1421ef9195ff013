"""The n - 1 most likely draft tokens and one draw from the rest."""
