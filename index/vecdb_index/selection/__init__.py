"""Choosing a set of candidates: relevant together, unlike each other, within limits."""
