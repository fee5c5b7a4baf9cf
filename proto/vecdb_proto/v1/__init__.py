"""Version 1 of the wire contract: stubs made from the .proto files beside them."""
