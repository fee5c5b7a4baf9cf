"""The arithmetic of one (row, query) pair, spelled out lane by lane.

    lane j of 16 sums the elements j, j + 16, j + 32, ... in this order (past the end: zeros)
    the total adds the upper half of the lanes to the lower half, four times

Every score in vecdb_index comes from here. The vectors are explicit and no fast-math flag is set, so LLVM
may not reorder a sum, and a pair has the same bits in a scan, in a gather, in a batch and in any thread.
Equal scores are then really equal, and ties can be broken by id.

Rows are float32, float16 stored as uint16, bfloat16 stored as int16, or int8; queries float32, or int16
beside int8 rows. Floats are summed in float32; int8 in int32, which is exact up to 32768 dimensions for squared
differences too.

One row is one stream from memory, which is fastest; a tile of several rows and queries computes more per
load, and is faster once the rows are in the cache. The order of a pair's additions is the same in both.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from vecdb_index.kernels import features

LANES = 16
# The queries of a tile. Its sums and its rows should fill the registers: 32 of 16 lanes, or 16 of 8 lanes.
COLUMNS = 8 if "avx512f" in features.features() else 3

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_F16, _F32, _F64 = ir.HalfType(), ir.FloatType(), ir.DoubleType()
# What an int16 means in a row; in a query it is a number.
BRAIN = types.Integer("bfloat16", 16, False)
_STORED = {types.float32: _F32, types.uint16: _I16, BRAIN: _I16, types.int8: _I8, types.int16: _I16}

Value = Any
Step = Callable[[Any, Value, Value, Value], Value]


def _wide(scalar: ir.Type) -> ir.VectorType:
    return ir.VectorType(scalar, LANES)


def _all(scalar: ir.Type, number: float) -> ir.Constant:
    return ir.Constant(_wide(scalar), [number] * LANES)


def _call(builder: Any, name: str, result: ir.Type, arguments: Sequence[Value]) -> Value:
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def half_to_float(builder: Any, bits: Value) -> Value:
    """Convert 16 float16 bit patterns to float32; exact for every finite value and the infinities."""
    if features.converts_half():
        return builder.fpext(builder.bitcast(bits, _wide(_F16)), _wide(_F32))
    # Exponent and mantissa go to float32's place; an exact multiplication mends the exponent's bias and
    # normalises what was subnormal.
    bits = builder.zext(bits, _wide(_I32))
    magnitude = builder.shl(builder.and_(bits, _all(_I32, 0x7FFF)), _all(_I32, 13))
    scaled = builder.fmul(builder.bitcast(magnitude, _wide(_F32)), _all(_F32, 2.0**112))
    endless = builder.icmp_unsigned(">=", magnitude, _all(_I32, 0x7C00 << 13))
    scaled = builder.select(
        endless, builder.or_(magnitude, _all(_I32, 0x7F800000)), builder.bitcast(scaled, _wide(_I32))
    )
    sign = builder.shl(builder.and_(bits, _all(_I32, 0x8000)), _all(_I32, 16))
    return builder.bitcast(builder.or_(scaled, sign), _wide(_F32))


def _load(builder: Any, element: Any, address: Value, mask: Value | None) -> Value:
    """Load 16 elements and convert them to the type that they are multiplied in."""
    stored = _STORED[element]
    address = builder.bitcast(address, _wide(stored).as_pointer())
    size = element.bitwidth // 8
    if mask is None:
        value = builder.load(address, align=size)
    else:
        name = f"llvm.masked.load.v{LANES}{'f' if stored == _F32 else 'i'}{element.bitwidth}.p0"
        value = _call(
            builder, name, _wide(stored), [address, ir.Constant(_I32, size), mask, ir.Constant(_wide(stored), None)]
        )
    if element == types.uint16:
        return half_to_float(builder, value)
    if element == BRAIN:
        # A bfloat16 is the upper half of a float32.
        return builder.bitcast(builder.shl(builder.zext(value, _wide(_I32)), _all(_I32, 16)), _wide(_F32))
    return value if stored == _F32 else builder.sext(value, _wide(_I32))


def _integer(value: Value) -> bool:
    return isinstance(value.type.element, ir.IntType)


def _multiply_add(builder: Any, total: Value, x: Value, y: Value) -> Value:
    if _integer(x):
        return builder.add(total, builder.mul(x, y))
    if features.fuses():
        return _call(builder, f"llvm.fma.v{LANES}{x.type.element.intrinsic_name}", x.type, [x, y, total])
    return builder.fadd(total, builder.fmul(x, y))


def _square_difference(builder: Any, total: Value, x: Value, y: Value) -> Value:
    difference = builder.sub(x, y) if _integer(x) else builder.fsub(x, y)
    return _multiply_add(builder, total, difference, difference)


def _totals(builder: Any, vectors: list[Value]) -> list[Value]:
    """Add the lanes of each vector; up to 16 vectors share the additions."""
    count, width = len(vectors), LANES
    while width > 1:
        width //= 2
        groups = [start + i for start in range(0, 2 * LANES, 2 * width) for i in range(width)]
        low = ir.Constant(ir.VectorType(_I32, LANES), groups)
        high = ir.Constant(ir.VectorType(_I32, LANES), [i + width for i in groups])
        # An odd vector, or the only one, is paired with itself: the copy's sums are not read.
        vectors = [
            (builder.add if _integer(x) else builder.fadd)(
                builder.shuffle_vector(x, y, low), builder.shuffle_vector(x, y, high)
            )
            for x, y in zip(vectors[::2], [*vectors[1::2], vectors[-1]], strict=False)
        ]
    return [builder.extract_element(vectors[0], ir.Constant(_I32, i)) for i in range(count)]


def _tile(builder: Any, step: Step, number: ir.Type, length: Value, rows: list[Any], queries: list[Any]) -> list[Value]:
    """Sum `step` over the elements of every row with every query.

    rows and queries are lists of (element type, address of the first element); without queries, each row is
    paired with itself. The totals come row by row.
    """
    cells = [cgutils.alloca_once_value(builder, _all(number, 0)) for _ in range(len(rows) * max(1, len(queries)))]

    def load(vector: Any, at: Value, mask: Value | None) -> Value:
        value = _load(builder, vector[0], builder.gep(vector[1], [at]), mask)
        return builder.fpext(value, _wide(_F64)) if number == _F64 and not _integer(value) else value

    def add(at: Value, mask: Value | None) -> None:
        xs = [load(row, at, mask) for row in rows]
        ys = [load(query, at, mask) for query in queries]
        pairs = [(x, y) for x in xs for y in ys] if ys else [(x, x) for x in xs]
        for cell, (x, y) in zip(cells, pairs, strict=True):
            builder.store(step(builder, builder.load(cell), x, y), cell)

    # To stop at the last whole block would tell LLVM the number of turns: it would unroll the loop eightfold
    # and mix the loads, which halves what the memory delivers.
    stop = builder.sub(length, ir.Constant(_I64, LANES - 1))
    with cgutils.for_range_slice(builder, ir.Constant(_I64, 0), stop, ir.Constant(_I64, LANES), _I64) as (at, _):
        add(at, None)
    left = builder.and_(length, ir.Constant(_I64, LANES - 1))
    with builder.if_then(cgutils.is_not_null(builder, left)):
        one = builder.insert_element(_all(_I32, 0), builder.trunc(left, _I32), ir.Constant(_I32, 0))
        everywhere = builder.shuffle_vector(one, one, _all(_I32, 0))
        mask = builder.icmp_signed("<", ir.Constant(_wide(_I32), list(range(LANES))), everywhere)
        add(builder.sub(length, left), mask)
    return _totals(builder, [builder.load(cell) for cell in cells])


def _inlined(typing: Callable[..., Any]) -> Any:
    """Register an intrinsic: `typing` gives its signature and code; kernels call it without the context."""
    return intrinsic(typing)


def _codegen(step: Step, rows: int, columns: int, floats: ir.Type) -> Callable[..., Value]:
    """Code of an intrinsic of (matrix, row numbers..., [queries, [first column]])."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        def vectors(at: int, numbers: Sequence[Value]) -> list[Any]:
            kind = signature.args[at]
            array = context.make_array(kind)(context, builder, arguments[at])
            length = cgutils.unpack_tuple(builder, array.shape, kind.ndim)[-1]
            lengths.append(length)
            element = BRAIN if at == 0 and kind.dtype == types.int16 else kind.dtype
            return [(element, builder.gep(array.data, [builder.mul(number, length)])) for number in numbers]

        lengths: list[Value] = []
        xs = vectors(0, arguments[1 : 1 + rows])
        first = arguments[2 + rows] if len(arguments) > 2 + rows else ir.Constant(_I64, 0)
        ys = vectors(1 + rows, [builder.add(first, ir.Constant(_I64, i)) for i in range(columns)]) if columns else []
        number = _I32 if signature.args[0].dtype == types.int8 else floats
        totals = _tile(builder, step, number, lengths[0], xs, ys)
        if number == _I32:
            totals = [builder.sitofp(total, floats) for total in totals]
        if isinstance(signature.return_type, types.UniTuple):
            return context.make_tuple(builder, signature.return_type, totals)
        return totals[0]

    return codegen


@_inlined
def dot(typingctx: Any, matrix: Any, row: Any, query: Any) -> Any:
    """Inner product of one row of a matrix with a query: float32."""
    return types.float32(matrix, types.intp, query), _codegen(_multiply_add, 1, 1, _F32)


@_inlined
def l2_squared(typingctx: Any, matrix: Any, row: Any, query: Any) -> Any:
    """Squared Euclidean distance of one row of a matrix from a query: float32."""
    return types.float32(matrix, types.intp, query), _codegen(_square_difference, 1, 1, _F32)


@_inlined
def dots(typingctx: Any, matrix: Any, row: Any, queries: Any, column: Any) -> Any:
    """Inner products of one row with COLUMNS queries from `column` on: a tuple of float32."""
    result = types.UniTuple(types.float32, COLUMNS)
    return result(matrix, types.intp, queries, types.intp), _codegen(_multiply_add, 1, COLUMNS, _F32)


@_inlined
def dots_of_two(typingctx: Any, matrix: Any, a: Any, b: Any, queries: Any, column: Any) -> Any:
    """Inner products of the rows a and b with COLUMNS queries: those of a, then those of b."""
    result = types.UniTuple(types.float32, 2 * COLUMNS)
    return result(matrix, types.intp, types.intp, queries, types.intp), _codegen(_multiply_add, 2, COLUMNS, _F32)


@_inlined
def l2s_squared(typingctx: Any, matrix: Any, row: Any, queries: Any, column: Any) -> Any:
    """Squared distances of one row from COLUMNS queries from `column` on: a tuple of float32."""
    result = types.UniTuple(types.float32, COLUMNS)
    return result(matrix, types.intp, queries, types.intp), _codegen(_square_difference, 1, COLUMNS, _F32)


@_inlined
def l2s_squared_of_two(typingctx: Any, matrix: Any, a: Any, b: Any, queries: Any, column: Any) -> Any:
    """Squared distances of the rows a and b from COLUMNS queries: those of a, then those of b."""
    result = types.UniTuple(types.float32, 2 * COLUMNS)
    return result(matrix, types.intp, types.intp, queries, types.intp), _codegen(_square_difference, 2, COLUMNS, _F32)


@_inlined
def square(typingctx: Any, matrix: Any, row: Any) -> Any:
    """Squared Euclidean length of one row of a matrix: float64."""
    return types.float64(matrix, types.intp), _codegen(_multiply_add, 1, 0, _F64)
