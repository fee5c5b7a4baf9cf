"""What can be said of all rows at once: summaries, samples, clusters, duplicates. All go by the cosine of vectors."""
