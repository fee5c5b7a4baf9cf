"""Unary calls with less around them than gRPC's Python layer has: that takes as long as many a search.

A method of a channel starts the call in gRPC's core and waits for its end in the caller's thread. So does `Unary`, and
makes nothing else: no record of the call's state, no lock, no future. gRPC has no public way to do that; `usable` says
whether a method is as expected. Where it is not, such as behind an interceptor, it is called as it is.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from google.protobuf.message import DecodeError

core: Any = None
_kind: Any = None
"""The class of the methods that are known; None where gRPC is built differently."""
with contextlib.suppress(ImportError, AttributeError):
    core = importlib.import_module("grpc._cython.cygrpc")
    _kind = importlib.import_module("grpc._channel")._UnaryUnaryMultiCallable

_PARTS = "_channel", "_context", "_method", "_registered_call_handle"
_CORE = (
    "PropagationConstants", "ReceiveInitialMetadataOperation", "ReceiveMessageOperation",
    "ReceiveStatusOnClientOperation", "SendCloseFromClientOperation", "SendInitialMetadataOperation",
    "SendMessageOperation",
)  # fmt: skip
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class FailedCall(grpc.RpcError):
    """A call that ended with an error, as `grpc.Call` tells of it."""

    def __init__(self, code: grpc.StatusCode, details: str, trailing: Sequence[tuple[str, Any]]) -> None:
        super().__init__(f"{code.name}: {details}")
        self._code, self._details, self._trailing = code, details, trailing

    def code(self) -> grpc.StatusCode:
        """Return the status code."""
        return self._code

    def details(self) -> str:
        """Return what the status says."""
        return self._details

    def trailing_metadata(self) -> Any:
        """Return what came beside the status."""
        return self._trailing


def usable(method: Any) -> bool:
    """Tell whether a method of a channel has the parts that are needed."""
    return (
        _kind is not None
        and type(method) is _kind
        and all(hasattr(core, name) for name in _CORE)
        and all(hasattr(method, name) for name in _PARTS)
        and hasattr(method._channel, "segregated_call")
    )


class Unary:
    """One method of a channel; called like it, without what vecdb does not use."""

    __slots__ = ("_answer", "_context", "_handle", "_method", "_native", "_parse", "_serialize", "_start")

    def __init__(self, method: Any, serialize: Callable[[Any], bytes], parse: Callable[[bytes], Any]) -> None:
        """Take a method that is `usable`, and its codecs."""
        self._native = method  # keeps the channel
        self._start = method._channel.segregated_call
        self._method = method._method
        self._context = method._context
        self._handle = method._registered_call_handle
        self._serialize = serialize
        self._parse = parse

    def __call__(self, request: Any, timeout: float | None, metadata: tuple[tuple[str, str], ...]) -> Any:
        """Return the answer to one request.

        Raises:
            grpc.RpcError: the call failed.

        """
        message = core.ReceiveMessageOperation(0)
        status = core.ReceiveStatusOnClientOperation(0)
        operations = (
            core.SendInitialMetadataOperation(metadata, 0),
            core.SendMessageOperation(self._serialize(request), 0),
            core.SendCloseFromClientOperation(0),
            core.ReceiveInitialMetadataOperation(0),
            message,
            status,
        )
        call = self._start(
            core.PropagationConstants.GRPC_PROPAGATE_DEFAULTS,
            self._method,
            None,
            None if timeout is None else time.time() + timeout,
            metadata,
            None,
            ((operations, None),),
            self._context,
            self._handle,
        )
        call.next_event()
        code = status.code()
        if code != 0:
            raise FailedCall(_CODES.get(code, grpc.StatusCode.UNKNOWN), status.details(), status.trailing_metadata())
        try:
            return self._parse(message.message())
        except (DecodeError, TypeError):
            raise FailedCall(grpc.StatusCode.INTERNAL, "the answer is no message", ()) from None
