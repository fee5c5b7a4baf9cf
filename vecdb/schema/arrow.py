"""What pyarrow leaves untyped or unnamed: its compute functions (made at run time), and families of types."""

from typing import Any

import pyarrow as pa
import pyarrow.compute

pc: Any = pyarrow.compute


def is_string(type_: pa.DataType) -> bool:
    """Say whether values are UTF-8 strings, in any of Arrow's three layouts."""
    return pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_)


def is_list(type_: pa.DataType) -> bool:
    """Say whether values are lists, in any of Arrow's five layouts; a map is not one."""
    return (
        pa.types.is_list(type_)
        or pa.types.is_large_list(type_)
        or pa.types.is_fixed_size_list(type_)
        or pa.types.is_list_view(type_)
        or pa.types.is_large_list_view(type_)
    )


def python_value(array: pa.Array, row: int) -> Any:
    """Return one value for a message: as Python has it, or as Arrow prints it when Python has no such value."""
    try:
        return array[row].as_py()
    except (OverflowError, ValueError):
        return str(array.slice(row, 1))
