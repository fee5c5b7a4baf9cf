"""An inverted file: rows in lists around centroids, of which a search reads the nearest (Jégou et al. 2011)."""
