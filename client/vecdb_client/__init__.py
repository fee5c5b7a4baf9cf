"""The vecdb command line; the network client joins it here."""
