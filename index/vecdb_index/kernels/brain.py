"""Kernels for bfloat16 rows, passed as their bit patterns in int16; queries are float32."""

from numba import types

from vecdb_index.kernels import loops
from vecdb_index.kernels.jit import kernel
from vecdb_index.kernels.signatures import norms_of, scan_batch_of, scan_of

scan = kernel(*scan_of(types.int16, types.float32))(loops.scan)
scan_batch = kernel(*scan_batch_of(types.int16, types.float32))(loops.scan_batch)
norms = kernel(*norms_of(types.int16))(loops.norms)
