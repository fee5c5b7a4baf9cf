"""Other databases as sources of rows, for `vecdb import`.

A peer is a `readers.Source` that also says which metric its vectors have, under which identity its progress is
remembered, and what of it is not taken over. One file a peer; each needs the peer's own package.
"""
