"""Compiled loops. Trusting and allocation-free: whoever calls has checked shapes and dtypes."""
