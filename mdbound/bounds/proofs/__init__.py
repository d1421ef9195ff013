"""Certificates of an optimum, in exact or enclosed arithmetic."""
