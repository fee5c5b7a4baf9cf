"""The kinds of codes that the lists can hold."""

from vecdb_index.dense.ivf.codings.coding import Coding
from vecdb_index.dense.ivf.codings.fourbit import FourBitLists
from vecdb_index.dense.ivf.codings.product import ProductLists
from vecdb_index.dense.ivf.codings.rabitq import RaBitQLists
from vecdb_index.dense.ivf.codings.scalar import ScalarLists

KINDS: dict[str, type[Coding]] = {each.kind: each for each in (ScalarLists, FourBitLists, ProductLists, RaBitQLists)}

__all__ = ["KINDS", "Coding", "FourBitLists", "ProductLists", "RaBitQLists", "ScalarLists"]
