"""The interceptor that every request passes: who, whether, how long, and what became of it.

A message is parsed only after its sender is known. A method that `access.RULES` does not name is refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NoReturn

import grpc

from vecdb.errors import (
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    VecdbError,
)
from vecdb_server import log
from vecdb_server.access import RULES, Rule
from vecdb_server.admission import Admission, Recheck
from vecdb_server.auth.grants import Permission, Principal
from vecdb_server.call import Call
from vecdb_server.config import LimitsSection
from vecdb_server.failures import Failure, NotReadyError
from vecdb_server.metrics import Metrics
from vecdb_server.readers.passage import LARGE, LOCAL, Passage, address_of, peer_of
from vecdb_server.stalls import Stalls

Span = Callable[[str, grpc.ServicerContext], AbstractContextManager[Any]]

SLOW = 1.0
"""Requests that took more seconds are logged."""

QUICK = frozenset(f"/vecdb.v1.{name}" for name in ("SearchService/Search", "RecordService/Get", "RecordService/Count"))
"""Methods that usually take less than changing the thread does. They wait for no other call."""

_AUDITED = {Permission.ADMIN, Permission.OPERATE}


class Guard(grpc.ServerInterceptor):
    """Wraps the handler of each method, once."""

    def __init__(
        self,
        admission: Admission,
        limits: LimitsSection,
        metrics: Metrics,
        stalls: Stalls,
        requests: bool,
        span: Span,
        passage: Passage | None = None,
        inner: bool = False,
    ) -> None:
        """Take what decides, counts and watches.

        Args:
            admission: who may do what.
            limits: how long and how large.
            metrics: where requests are counted.
            stalls: watches clients that do not read.
            requests: log every request.
            span: traces a request.
            passage: of a reader: where calls go that it does not answer.
            inner: the calls come from readers, which tell from whom they have them.

        """
        self.admission = admission
        self.limits = limits
        self.metrics = metrics
        self.stalls = stalls
        self.requests = requests
        self.span = span
        self.passage = passage
        self.inner = inner
        self._handlers: dict[str, grpc.RpcMethodHandler] = {}
        self._open = False

    def open(self) -> None:
        """Let requests in from now on; until then all are told to come again, health apart."""
        self._open = True

    def intercept_service(
        self, continuation: Callable[[Any], Any], handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler | None:
        """Return the guarded handler of a method."""
        method = handler_call_details.method
        known = self._handlers.get(method)
        if known is None:
            handler = continuation(handler_call_details)
            if handler is None:
                return None  # gRPC answers that there is no such method
            known = self._handlers[method] = self.guarded(method, handler)
        return known

    def guarded(self, method: str, handler: Any) -> grpc.RpcMethodHandler:
        """Return a handler that does what another one does when the caller may."""
        rule = RULES.get(method)
        if rule is None:
            log.logger.error("a method without a rule is refused", extra={"method": method})
            return _refusing(method, handler, PermissionDeniedError(f"nobody may call {method}"))
        if rule.public:
            return handler
        if self.passage is not None and method not in LOCAL:
            return self.passage.handler(method, handler)
        one = _Method(method, rule, handler, self)
        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(one.conversation)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(one.stream)
        return grpc.unary_unary_rpc_method_handler(one.answer)

    def identify(self, context: grpc.ServicerContext) -> Principal:
        """Return who calls.

        Raises:
            NotReadyError: the server lets nobody in yet.
            UnauthenticatedError: nobody that is known.

        """
        if not self._open:
            raise NotReadyError("the server is starting: it loads, or compiles once, what searches need")
        return self.admission.identify(context, peer_of(context) if self.inner else None)

    def address(self, context: grpc.ServicerContext) -> str:
        """Return from where a call comes."""
        return address_of(context) if self.inner else context.peer()


class _Method:
    """One method: its rule, and what serves it."""

    def __init__(self, name: str, rule: Rule, handler: Any, guard: Guard) -> None:
        self.name = name
        self.rule = rule
        self._parse = handler.request_deserializer
        self._serialize = handler.response_serializer
        self._serve = handler.unary_unary or handler.unary_stream or handler.stream_stream
        self._guard = guard
        self.audited = bool(rule.permissions) and _AUDITED.issuperset(rule.permissions)

    # -- one answer ------------------------------------------------------------------------------------------------

    def answer(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        """Answer one message by one."""
        record = _Record(self, context)
        try:
            with self._guard.span(self.name, context):
                principal = record.principal = self._guard.identify(context)
                request = self._parse(data)
                call = self._admit(record, request, context)
                context.add_callback(call.budget.cancel)
                try:
                    answer = self._serialized(self._serve(request, call))
                finally:
                    self._guard.admission.dismiss(call)
            if len(answer) > LARGE:
                self._watch_reading(context)
            return answer
        except Exception as error:
            record.fail_here(error)
        finally:
            record.end()
            principal = request = call = None  # noqa: F841  of a failed request nothing stays in a traceback
        assert self._guard.passage is not None
        return self._guard.passage.answer(self.name, data, context)

    def _watch_reading(self, context: grpc.ServicerContext) -> None:
        stall = self._guard.stalls.watch(context.cancel)
        stall.wait(self._guard.limits.longest_deadline_seconds)
        if not context.add_callback(lambda: self._guard.stalls.forget(stall)):
            self._guard.stalls.forget(stall)

    # -- many answers ----------------------------------------------------------------------------------------------

    def stream(self, data: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        """Answer one message by many."""
        passed_on = yield from self._streamed(iter((data,)), context, False)
        if passed_on:
            assert self._guard.passage is not None
            yield from self._guard.passage.stream(self.name, data, context)

    def conversation(self, data: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        """Answer messages by messages."""
        yield from self._streamed(data, context, True)

    def _streamed(
        self, data: Iterator[bytes], context: grpc.ServicerContext, many: bool
    ) -> Generator[bytes, None, bool]:
        """Yield the answers; returns whether there was none because the call is to be passed on."""
        record = _Record(self, context)
        guard, limits = self._guard, self._guard.limits
        stall = guard.stalls.watch(context.cancel)
        call: Call | None = None
        try:
            with guard.span(self.name, context):
                record.principal = guard.identify(context)
                first = self._next(data, stall)
                if first is None:
                    return False
                call = self._admit(record, first, context)
                context.add_callback(call.budget.cancel)
                recheck = Recheck(lambda: self._again(record, first, context))
                requests = self._requests(first, data, stall, recheck) if many else first
                for answer in self._serve(requests, call):
                    recheck()
                    ready = self._serialized(answer)
                    stall.wait(limits.stalled_seconds)
                    record.begun_to_answer = True
                    yield ready
                    stall.go_on()
        except GeneratorExit:
            record.code = grpc.StatusCode.CANCELLED.name
            raise
        except Exception as error:
            record.fail_here(error)
        finally:
            guard.stalls.forget(stall)
            if call is not None:
                guard.admission.dismiss(call)
            record.end()
        return record.passed_on

    def _next(self, data: Iterator[bytes], stall: Any) -> Any:
        stall.wait(self._guard.limits.idle_upload_seconds)
        message = next(data, None)
        stall.go_on()
        return None if message is None else self._parse(message)

    def _requests(self, first: Any, data: Iterator[bytes], stall: Any, recheck: Recheck) -> Iterator[Any]:
        message = first
        while message is not None:
            yield message
            message = self._next(data, stall)
            recheck()

    # -- both ------------------------------------------------------------------------------------------------------

    def _admit(self, record: _Record, request: Any, context: grpc.ServicerContext) -> Call:
        if self.rule.collection is not None:
            record.collection = self.rule.collection(request)
        return self._guard.admission.admit(self.name, self.rule, record.principal, request, context)

    def _again(self, record: _Record, request: Any, context: grpc.ServicerContext) -> None:
        record.principal = self._guard.identify(context)
        self._guard.admission.check(self.name, self.rule, record.principal, request)

    def _serialized(self, answer: Any) -> bytes:
        data = self._serialize(answer)
        most = self._guard.limits.message_out_bytes
        if len(data) > most:
            raise ResourceExhaustedError(
                f"the answer has {len(data)} bytes, the server sends {most} at most: ask for fewer rows or fields"
            )
        return data


class _Record:
    """What became of one request, for metrics and the log."""

    __slots__ = (
        "_begun", "_context", "_method", "begun_to_answer", "code", "collection", "passed_on", "principal", "reason",
    )  # fmt: skip

    def __init__(self, method: _Method, context: grpc.ServicerContext) -> None:
        self._begun = time.perf_counter()
        self._method = method
        self._context = context
        self.code = "OK"
        self.reason: str | None = None
        self.principal: Any = None
        self.collection: str | None = None
        self.begun_to_answer = False
        self.passed_on = False
        method._guard.metrics.requests.begin()

    def fail_here(self, error: Exception) -> None:
        """End the request with an error, which raises; in a reader say that it is passed on, as long as it can be."""
        passage = self._method._guard.passage
        self.passed_on = passage is not None and not self.begun_to_answer and passage.takes(error, self._method.name)
        if not self.passed_on:
            self.fail(error)

    def fail(self, error: Exception) -> NoReturn:
        """End the request with an error; raises."""
        failure = Failure.of(error, self._method.name)
        self.code, self.reason = failure.code.name, failure.reason
        if isinstance(error, UnauthenticatedError | PermissionDeniedError):
            self._method._guard.metrics.refused.labels(failure.reason).inc()
        failure.send(self._context)

    def end(self) -> None:
        """Count the request, and log it where that is wanted; where it is passed on the writer does."""
        if self.passed_on:
            self._method._guard.metrics.requests.leave()
            return
        seconds = time.perf_counter() - self._begun
        method, guard = self._method, self._method._guard
        guard.metrics.requests.end(method.name, self.code, seconds)
        refused = self.code in ("PERMISSION_DENIED", "UNAUTHENTICATED")
        if method.audited or refused:
            self._log(log.audit, "refused" if refused else "done", seconds)
        elif guard.requests or seconds > SLOW or self.code in ("INTERNAL", "DATA_LOSS", "UNAVAILABLE"):
            self._log(log.logger, "request", seconds)

    def _log(self, where: Any, event: str, seconds: float) -> None:
        told: dict[str, Any] = {"method": self._method.name, "code": self.code, "ms": round(1e3 * seconds, 3)}
        if self.reason is not None:
            told["reason"] = self.reason
        if self.collection is not None:
            told["collection"] = self.collection[:128]
        told["caller"] = self._method._guard.address(self._context) if self.principal is None else self.principal.name
        where.info(event, extra=told)


def _refusing(method: str, handler: Any, error: VecdbError) -> grpc.RpcMethodHandler:
    """Return a handler that refuses every call with an error."""

    def refuse(_: Any, context: grpc.ServicerContext) -> Any:
        Failure.of(error, method).send(context)

    def refuse_all(_: Any, context: grpc.ServicerContext) -> Iterable[Any]:
        yield refuse(_, context)

    if handler.request_streaming and handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler(refuse_all)
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler(refuse)
    return (
        grpc.unary_stream_rpc_method_handler(refuse_all)
        if handler.response_streaming
        else (grpc.unary_unary_rpc_method_handler(refuse))
    )
