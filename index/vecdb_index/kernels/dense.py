"""Kernels for float32 rows."""

from numba import types

from vecdb_index.kernels import loops
from vecdb_index.kernels.jit import kernel
from vecdb_index.kernels.signatures import norms_of, scan_batch_of, scan_of

scan = kernel(*scan_of(types.float32, types.float32))(loops.scan)
scan_batch = kernel(*scan_batch_of(types.float32, types.float32))(loops.scan_batch)
norms = kernel(*norms_of(types.float32))(loops.norms)
