"""Follows a live channel as server-sent events (docs/events.md). After a cut it goes on where it was."""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx

# The server sends a comment every 20 seconds; after this silence the connection is taken for broken.
SILENCE_S = 60


class Refused(Exception):
    """The server says that there is nothing to follow, or nothing more."""


def follow(url: str, headers: dict[str, str] | None = None) -> Iterator[dict[str, Any]]:
    """Yields every frame of the channel, each once: first a snapshot, then events. Ends by an error only."""
    last_id: str | None = None
    pause_s = 1.0
    while True:
        place = {} if last_id is None else {"Last-Event-ID": last_id}
        try:
            for event in read(url, {**(headers or {}), **place}):
                if "retry" in event:
                    pause_s = int(event["retry"]) / 1000
                last_id = event.get("id", last_id)
                if "data" not in event:
                    continue
                if event.get("event") == "close":
                    break  # the next request is told why, if there is nothing more
                frame = json.loads(event["data"])
                if not frame.get("resumed"):
                    yield frame
        except httpx.TransportError as error:
            print(f"cut off: {error!r}", file=sys.stderr)
        time.sleep(pause_s)


def read(url: str, headers: dict[str, str]) -> Iterator[dict[str, str]]:
    """Yields the blocks of one connection. A block that did not come whole is dropped."""
    with httpx.stream("GET", url, headers=headers, timeout=httpx.Timeout(10, read=SILENCE_S)) as response:
        if 400 <= response.status_code < 500 and response.status_code != 429:
            raise Refused(response.read().decode())
        if response.status_code != 200:
            return
        block: dict[str, str] = {}
        for line in response.iter_lines():
            if line == "":
                yield block
                block = {}
            else:
                field, _, value = line.partition(":")
                block[field] = value.removeprefix(" ")
