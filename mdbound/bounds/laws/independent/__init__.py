"""Draft k from its own q_k: the best weighted threshold set, by contract and branch."""
