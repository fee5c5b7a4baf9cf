"""A collection as somebody sees it, over the wire: see `vecdb.view.View`.

Made of `vecdb_client/aio/view.py` by `client/generate.py`: change that, and run it.
"""

from __future__ import annotations

from vecdb_client.blocking.writes import Writes
from vecdb_client.views import UNLIMITED


class View(Writes):
    """Made by `Collection.restricted` and `Collection.within`; reads and writes have the names of the collection's.

    The server sees to it that the rows which do not pass are not there for any call.
    """

    def __repr__(self) -> str:
        told = "".join(f", where={str(where)!r}" for where in self._filters)
        limit = "" if self._limits == UNLIMITED else f", {self._limits!r}"
        return f"View({self.name!r}{told}{limit}, at {self._connection.address})"
