"""Indexes of one vector per row."""
