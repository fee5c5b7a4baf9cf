"""The `vecdb` program: one file per group of commands, one place each for errors, rendering and reading data files.

Nothing here is imported by the engine. Every module keeps pyarrow, numpy and the engine inside functions,
so that `vecdb --help` and shell completion answer at once.
"""
