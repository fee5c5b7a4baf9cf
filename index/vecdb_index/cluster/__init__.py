"""Clusters of vectors, and the centroids that stand for them."""
