"""What is asked, as a value: arms that gather, a fusion, a filter, and stages that follow. No rows, no files."""

from vecdb.query import formula

__all__ = ["formula"]
