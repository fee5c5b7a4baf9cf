"""Compressed copies of vectors: derived data, made again when damaged."""
