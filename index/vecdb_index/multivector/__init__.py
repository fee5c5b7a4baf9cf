"""Several vectors for each row: late interaction, token pooling, and encodings that make one vector of them."""
