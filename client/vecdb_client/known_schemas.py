"""The fields of collections, as a client last heard of them."""

from __future__ import annotations

from vecdb.schema.schema import Schema


class KnownSchemas:
    """The fields of each collection by name: one for all handles of a client, so that what one hears all know."""

    def __init__(self) -> None:
        self._schemas: dict[str, Schema] = {}

    def __getitem__(self, name: str) -> Schema:
        """Return the fields of a collection that was asked for before."""
        return self._schemas[name]

    def keep(self, name: str, schema: Schema) -> Schema:
        """Keep what the server says; fields that are the same as before stay the same object, which is hashed once."""
        known = self._schemas.get(name)
        if known == schema and known is not None:
            return known
        self._schemas[name] = schema
        return schema
