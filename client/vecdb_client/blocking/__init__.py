"""The client whose calls block, which `vecdb_client` and `vecdb.connect` give. Made of `vecdb_client.aio`."""
