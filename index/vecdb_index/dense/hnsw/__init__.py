"""A navigable graph over 8-bit codes (after Malkov, Yashunin: HNSW, arXiv 1603.09320), on one layer."""
