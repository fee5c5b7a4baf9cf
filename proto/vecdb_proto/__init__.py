"""The wire contract of vecdb."""
