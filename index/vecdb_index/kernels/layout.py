"""How postings are laid out, for kernels and for those who call them: importing this loads no kernel."""

import numpy as np

MOST = np.uint8(255)
"""The largest value."""
VALUES = 256
"""How many values a posting may have."""
LAST = np.uint32(1 << 31)
"""The bit of a posting's last position."""
GONE = np.uint32(0xFFFFFFFF)
"""The new number of a row that is left out."""
BLOCK_BITS = 7
BLOCK = 1 << BLOCK_BITS
"""Postings that share a maximum."""
WINDOW = 1 << 12
"""Rows that are looked at together; their sums fit the fastest cache."""
WIDE = 1 << 14
"""Rows that are looked at together where few of them are allowed: only these have sums."""
NONE = np.float32(-1.0)
"""The score of a row that has no term of a query."""
