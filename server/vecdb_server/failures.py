"""How a request fails: the status and the details that a client makes the same error of.

An exception that vecdb did not raise on purpose is a defect: the client learns that there was one, and the log where.
Neither learns what its message says, which may hold data.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import NoReturn

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from grpc import StatusCode

from vecdb.errors import ResourceExhaustedError, UnavailableError, VecdbError
from vecdb.wire import errors
from vecdb_server.log import logger

DETAILS = "grpc-status-details-bin"

RETRY_SECONDS = 1
"""When clients are asked to come again that came before the server was ready."""

_CODES: dict[int, StatusCode] = {code.value[0]: code for code in StatusCode}


class NotReadyError(UnavailableError):
    """The server does not answer yet. Nothing was done, and the client is asked to come again."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The end of a request.

    Attributes:
        code: gRPC's.
        reason: the stable code of the error's class.
        message: for the client.
        details: a google.rpc.Status, serialised.

    """

    code: StatusCode
    reason: str
    message: str
    details: bytes

    @classmethod
    def of(cls, error: Exception, method: str) -> Failure:
        """Return how a request fails with an error."""
        if isinstance(error, MemoryError):
            error = ResourceExhaustedError("the server is out of memory: try again later, or ask for less")
        if not isinstance(error, VecdbError):
            where = [
                f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in traceback.extract_tb(error.__traceback__)
            ]
            reason = f"{type(error).__name__} in {' < '.join(reversed(where))}"
            logger.error("defect", extra={"method": method, "reason": reason})
            error = VecdbError(f"a defect in the server ({type(error).__name__}): its log tells where")
        status = errors.to_message(error)
        if isinstance(error, NotReadyError):
            status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=RETRY_SECONDS)))
        return cls(_CODES[status.code], error.code, status.message, status.SerializeToString())

    def send(self, context: grpc.ServicerContext) -> NoReturn:
        """End the request; raises what gRPC expects."""
        context.set_trailing_metadata(((DETAILS, self.details),))
        context.abort(self.code, self.message)
        raise AssertionError  # abort has raised
