"""What each way of drafting is worth on a pair of models: bounds, and rules that need no bound."""
