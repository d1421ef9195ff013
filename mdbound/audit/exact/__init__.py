"""Exact audits: a rule's law over a battery of small problems, in fractions."""
