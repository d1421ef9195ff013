"""Draft trees of captures: what each verifier accepts of them, and the bracket around the best."""
