"""Processes that read beside the writer, so that throughput grows with cores.

`processes` starts and keeps them, `reader` is what runs in one, `followed` are its collections, and `passage` takes to
the writer what a reader does not answer itself.
"""
