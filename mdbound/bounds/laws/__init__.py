"""The draft laws, a wing each; what every law offers, and the table of their names."""
