"""Sums of table look-ups for 32 rows at once.

The codes of 32 rows stand together: blocks are (b, bytes, 32) uint8, and codes[b, g, v] holds two groups of row
32 b + v, 2 g in its low four bits and 2 g + 1 in its high ones. A query is a table (2 bytes, 16) uint8, a line for each
group. What a row gets is the sum of its groups' entries: an exact integer, so every path gives the same.

(André, Kermarrec, Le Scouarnec 2015, "Cache locality is not enough".) One instruction looks up a group of 16 or 32
rows. Sums are kept in 16 bits for up to 256 groups, of which none can then overflow.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from vecdb_index.kernels import features

BLOCK = 32
"""Rows of a block."""
_BYTES = 128
_GROUP = 16

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_TABLE = ir.VectorType(_I8, _GROUP)
# By what features.looks_up says: the intrinsic, and how many rows it serves.
LOOKUPS = {
    "avx2": ("llvm.x86.avx2.pshuf.b", 32),
    "ssse3": ("llvm.x86.ssse3.pshuf.b.128", 16),
    "neon": ("llvm.aarch64.neon.tbl1.v16i8", 16),
}

Value = Any


def blocks_of(rows: int) -> int:
    """How many blocks hold so many rows."""
    return -(-rows // BLOCK)


def _inlined(typing: Callable[..., Any]) -> Any:
    """Register an intrinsic: `typing` gives its signature and code; kernels call it without the context."""
    return intrinsic(typing)


def _matrix(context: Any, builder: Any, kind: Any, array: Value, at: Value) -> tuple[Value, Value]:
    """Return the address of the first byte of array[at], a matrix of bytes, and its number of rows."""
    data = context.make_array(kind)(context, builder, array)
    _, rows, columns = cgutils.unpack_tuple(builder, data.shape, 3)
    return builder.gep(data.data, [builder.mul(at, builder.mul(rows, columns))]), rows


def _all(kind: ir.VectorType, number: int) -> ir.Constant:
    return ir.Constant(kind, [number] * kind.count)


class _Vectors:
    """Code for the rows `part`, part + 1, ... of a block, as many as one look-up serves."""

    def __init__(self, builder: Any, lookup: str, width: int, part: int) -> None:
        self.builder, self.lookup, self.width, self.part = builder, lookup, width, part
        self.bytes, self.pairs = ir.VectorType(_I8, width), ir.VectorType(_I16, width // 2)
        # All bytes read as 16-bit numbers, and the upper bytes alone: the difference is the lower bytes' sum. One pair
        # of sums for the low groups, one for the high.
        self.sums = [cgutils.alloca_once(builder, self.pairs) for _ in range(4)]
        self.wide = ir.VectorType(_I32, width // 2)
        self.totals = [cgutils.alloca_once_value(builder, _all(self.wide, 0)) for _ in range(2)]

    def clear(self) -> None:
        for place in self.sums:
            self.builder.store(_all(self.pairs, 0), place)

    def add(self, codes: Value, tables: Value) -> None:
        """Look up one byte of every row."""
        builder = self.builder
        place = builder.gep(codes, [ir.Constant(_I64, self.part)])
        both = builder.load(builder.bitcast(place, self.bytes.as_pointer()), align=1)
        low = builder.and_(both, _all(self.bytes, 15))
        halves = builder.bitcast(builder.lshr(builder.bitcast(both, self.pairs), _all(self.pairs, 4)), self.bytes)
        high = builder.and_(halves, _all(self.bytes, 15))
        for group, index in enumerate((low, high)):
            place = builder.gep(tables, [ir.Constant(_I64, group * _GROUP)])
            table = builder.load(builder.bitcast(place, _TABLE.as_pointer()), align=1)
            if self.width > _GROUP:
                twice = ir.Constant(ir.VectorType(_I32, self.width), [i % _GROUP for i in range(self.width)])
                table = builder.shuffle_vector(table, table, twice)
            shape = ir.FunctionType(self.bytes, [self.bytes, self.bytes])
            found = builder.call(cgutils.get_or_insert_function(builder.module, shape, self.lookup), [table, index])
            found = builder.bitcast(found, self.pairs)
            self._increase(self.sums[2 * group], found)
            self._increase(self.sums[2 * group + 1], builder.lshr(found, _all(self.pairs, 8)))

    def _increase(self, place: Value, number: Value) -> None:
        self.builder.store(self.builder.add(self.builder.load(place), number), place)

    def flush(self) -> None:
        """Add the 16-bit sums to the totals."""
        builder = self.builder
        both, upper = ([builder.load(self.sums[group + kind]) for group in (0, 2)] for kind in (0, 1))
        for low, high in zip(both, upper, strict=True):
            lower = builder.sub(low, builder.shl(high, _all(self.pairs, 8)))
            self._increase(self.totals[0], builder.zext(lower, self.wide))
            self._increase(self.totals[1], builder.zext(high, self.wide))

    def store(self, out: Value) -> None:
        """Write the totals in the order of the rows."""
        builder = self.builder
        even, odd = (builder.load(total) for total in self.totals)
        order = [at // 2 + (at % 2) * (self.width // 2) for at in range(self.width)]
        mixed = builder.shuffle_vector(even, odd, ir.Constant(ir.VectorType(_I32, self.width), order))
        place = builder.gep(out, [ir.Constant(_I64, self.part)])
        builder.store(mixed, builder.bitcast(place, mixed.type.as_pointer()), align=4)


def _by_instruction(builder: Any, codes: Value, tables: Value, count: Value, out: Value) -> None:
    lookup, width = LOOKUPS[features.looks_up()]
    parts = [_Vectors(builder, lookup, width, part) for part in range(0, BLOCK, width)]
    zero, step = ir.Constant(_I64, 0), ir.Constant(_I64, _BYTES)
    with cgutils.for_range_slice(builder, zero, count, step, _I64) as (first, _):
        for part in parts:
            part.clear()
        end = builder.add(first, step)
        end = builder.select(builder.icmp_signed("<", end, count), end, count)
        with cgutils.for_range_slice(builder, first, end, ir.Constant(_I64, 1), _I64) as (at, _):
            place = builder.gep(codes, [builder.mul(at, ir.Constant(_I64, BLOCK))])
            table = builder.gep(tables, [builder.mul(at, ir.Constant(_I64, 2 * _GROUP))])
            for part in parts:
                part.add(place, table)
        for part in parts:
            part.flush()
    for part in parts:
        part.store(out)


def _portable(builder: Any, codes: Value, tables: Value, count: Value, out: Value) -> None:
    one = ir.Constant(_I64, 1)
    with cgutils.for_range(builder, ir.Constant(_I64, BLOCK)) as rows:
        total = cgutils.alloca_once_value(builder, ir.Constant(_I32, 0))
        builder.store(ir.Constant(_I32, 0), total)
        with cgutils.for_range_slice(builder, ir.Constant(_I64, 0), count, one, _I64) as (at, _):
            place = builder.add(builder.mul(at, ir.Constant(_I64, BLOCK)), rows.index)
            byte = builder.zext(builder.load(builder.gep(codes, [place])), _I64)
            line = builder.mul(at, ir.Constant(_I64, 2 * _GROUP))
            low = builder.add(line, builder.and_(byte, ir.Constant(_I64, 15)))
            high = builder.add(builder.add(line, ir.Constant(_I64, _GROUP)), builder.lshr(byte, ir.Constant(_I64, 4)))
            for entry in (low, high):
                found = builder.zext(builder.load(builder.gep(tables, [entry])), _I32)
                builder.store(builder.add(builder.load(total), found), total)
        builder.store(builder.load(total), builder.gep(out, [rows.index]))


@_inlined
def block_sums(typingctx: Any, codes: Any, block: Any, tables: Any, query: Any, out: Any) -> Any:
    """Write the sums of the 32 rows codes[block] by tables[query] to out, (32,) int32."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        place, count = _matrix(context, builder, signature.args[0], arguments[0], arguments[1])
        table, _ = _matrix(context, builder, signature.args[2], arguments[2], arguments[3])
        data = context.make_array(signature.args[4])(context, builder, arguments[4]).data
        sums = _by_instruction if features.looks_up() else _portable
        sums(builder, place, table, count, data)
        return context.get_dummy_value()

    return types.void(codes, types.intp, tables, types.intp, out), codegen
