"""Arrays in, ranked row numbers out: kernels and indexes. No files, no network."""
