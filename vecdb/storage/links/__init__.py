"""Links: segments and a memtable of their own, under the writer of the rows. Start with `segment.py`."""
