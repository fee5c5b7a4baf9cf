"""Multi-vectors on the command line: `multivector(128,int8,pool_factor=2)`, and rows of tokens in NumPy files."""

from typing import TYPE_CHECKING, Any

from vecdb_client.cli.errors import CommandError
from vecdb_client.cli.numbers import whole

if TYPE_CHECKING:
    import numpy as np

    from vecdb.schema.multivector import MultiVector

TYPE = (
    "multivector(DIMENSION[,float16|float32|int8|int4|sign|residual4|residual2][,pool_factor=N][,pooling=ward|kmeans|sequential|pylate]"
    "[,protect=N][,fixed=N][,normalise=false][,flat])"
)
DTYPES = ("float16", "float32", "int8", "int4", "sign", "residual4", "residual2")
PARAMETERS = ("pool_factor", "pooling", "protect", "fixed", "normalise")
OFFSETS = "_offsets"
"""Behind an array's name in a .npz file: where the rows of the array of that name begin."""


def parse(specification: str, arguments: list[str]) -> "MultiVector":
    """Read what stands in the parentheses of `multivector(...)`.

    Raises:
        CommandError: it is not of this form.
        InvalidInputError: a value is out of range.

    """
    from vecdb.schema import MultiVector
    from vecdb.schema.indexes import INDEXES

    dimension = whole(arguments[0]) if arguments else None
    if dimension is None:
        hint = "for example multivector(128,pool_factor=2)"
        raise CommandError(f"--field {specification!r} does not say the dimension", hint=hint)
    options: dict[str, Any] = {}
    for argument in arguments[1:]:
        name, equals, value = (part.strip() for part in argument.partition("="))
        if argument in DTYPES:
            name, value = "dtype", argument
        elif not equals and argument in INDEXES:
            name, value = "index", argument
        elif not equals or name not in PARAMETERS:
            raise CommandError(f"--field {specification!r}: {argument!r} is not expected", hint=f"it is {TYPE}")
        if name in options:
            raise CommandError(f"--field {specification!r} gives {name} twice")
        options[name] = _value(value)
    return MultiVector(dimension, **options)


def describe(field: "MultiVector") -> str:
    """Return the short form, which `parse` reads."""
    told = [str(field.dimension), *([field.dtype] if field.dtype != type(field).dtype else [])]
    for name in PARAMETERS:
        value = getattr(field, name)
        if value != getattr(type(field), name):
            told.append(f"{name}={str(value).lower()}")
    if field.spec.kind != "auto":
        told.append(field.spec.kind)
    return f"multivector({','.join(told)})"


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)


def check_offsets(offsets: "np.ndarray", tokens: int, name: str, path: Any) -> None:
    """Refuse offsets of a .npz file that do not ascend from 0 to the number of its tokens.

    Raises:
        CommandError: they do not.

    """
    import numpy as np

    usable = offsets.ndim == 1 and offsets.dtype.kind in "iu" and len(offsets) > 0
    if not usable or offsets[0] != 0 or offsets[-1] != tokens or (np.diff(offsets.astype(np.int64)) < 0).any():
        told = f"the array {name + OFFSETS!r} does not ascend from 0 to {tokens}, the rows of {name!r}"
        raise CommandError(f"{path}: {told}")
