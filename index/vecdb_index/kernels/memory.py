"""Moving many numbers of an array at once."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from vecdb_index.kernels.codes import Value, inlined

_BYTE, _LONG, _BIT = ir.IntType(8), ir.IntType(64), ir.IntType(1)


@inlined
def make_room(typingctx: Any, keys: Any, at: Any, count: Any) -> Any:
    """Move keys[at : at + count] up by one place, int64, with the C library's memmove."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        source = builder.gep(data, [arguments[1]])
        target = builder.gep(source, [ir.Constant(_LONG, 1)])
        size = builder.mul(arguments[2], ir.Constant(_LONG, 8))
        byte = _BYTE.as_pointer()
        shape = ir.FunctionType(ir.VoidType(), [byte, byte, _LONG, _BIT])
        move = cgutils.get_or_insert_function(builder.module, shape, "llvm.memmove.p0i8.p0i8.i64")
        builder.call(move, [builder.bitcast(target, byte), builder.bitcast(source, byte), size, ir.Constant(_BIT, 0)])
        return context.get_dummy_value()

    return types.void(keys, types.intp, types.intp), codegen
