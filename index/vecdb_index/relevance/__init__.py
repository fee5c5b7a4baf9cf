"""Which scores stand out from those of rows that have nothing to do with the query."""
