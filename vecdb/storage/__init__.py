"""Rows that survive: a log, a memtable and immutable segments under one small manifest."""
