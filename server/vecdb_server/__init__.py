"""The gRPC server of vecdb."""
