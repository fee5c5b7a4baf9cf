"""A decent client, in a process of its own, so that what others do to their own process does not slow it.

    python -m support.decent TARGET TOKEN

It counts rows again and again until its stdin ends, and tells how long each call took: one line of JSON for each line
that it reads, about the calls since the last one.
"""

import json
import sys
import threading
import time
from typing import Any

import grpc

from support.served import dialled
from vecdb_proto.v1 import record_service_pb2 as records

ASKED = records.CountRequest(collection="docs")
PAUSE = 0.005
"""Seconds between calls."""


class Calls:
    """What became of the calls."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.failed: list[str] = []
        self.refused = 0
        self.ended = threading.Event()

    def run(self, target: str, token: str) -> None:
        """Call until it is ended."""
        with dialled(target, token) as stubs:
            while not self.ended.wait(PAUSE):
                begun = time.perf_counter()
                self._ask(stubs)
                self.seconds.append(time.perf_counter() - begun)

    def _ask(self, stubs: Any) -> None:
        """Ask, and again where the server has no room, as the SDK does."""
        for attempt in range(5):
            try:
                stubs.records.Count(ASKED)
                return
            except grpc.RpcError as error:
                code = error.code()  # pyright: ignore[reportAttributeAccessIssue]
                if code != grpc.StatusCode.RESOURCE_EXHAUSTED or attempt == 4:
                    self.failed.append(repr(error))
                    return
                self.refused += 1
                self.ended.wait(0.05)

    def told(self, least: int) -> str:
        """Return what happened since the last time, once there are so many calls."""
        while len(self.seconds) < least and not self.failed:
            time.sleep(PAUSE)
        seconds, self.seconds = self.seconds, []
        return json.dumps({"seconds": seconds, "failed": self.failed, "refused": self.refused})


def main() -> None:
    """Call, and answer stdin; each line of it is how many calls there have to be."""
    calls = Calls()
    thread = threading.Thread(target=calls.run, args=(sys.argv[1], sys.argv[2]))
    thread.start()
    for line in sys.stdin:
        sys.stdout.write(calls.told(int(line)) + "\n")
        sys.stdout.flush()
    calls.ended.set()
    thread.join()


if __name__ == "__main__":
    main()
