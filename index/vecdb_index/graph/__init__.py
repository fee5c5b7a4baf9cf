"""Graphs of links: nodes by number, and whom each is linked to."""
