"""The commands of `vecdb-server`."""
