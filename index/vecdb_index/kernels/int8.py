"""Kernels for int8 rows; queries are int8 values in int16. Sums are exact integers, rounded once to float32."""

from numba import types

from vecdb_index.kernels import loops
from vecdb_index.kernels.jit import kernel
from vecdb_index.kernels.signatures import norms_of, scan_batch_of, scan_of

scan = kernel(*scan_of(types.int8, types.int16))(loops.scan)
scan_batch = kernel(*scan_batch_of(types.int8, types.int16))(loops.scan_batch)
norms = kernel(*norms_of(types.int8))(loops.norms)
