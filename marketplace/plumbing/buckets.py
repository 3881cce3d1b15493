"""Token buckets, kept as the one moment at which a bucket will be full again (generic cell rate algorithm).

In process, or in Redis for several processes; when Redis is silent each process counts for itself and says so.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import redis
from structlog import get_logger

MOST_NAMES = 65_536
_SHARED = "*"
_PATIENCE_SECONDS = 0.2
_RETRY_REDIS_NS = 5_000_000_000
_MICRO = 1_000_000

# KEYS[1]: the bucket; ARGV: microseconds per token, microseconds of a full bucket.  One clock: the server's.
_SCRIPT = """
local moment = redis.call('TIME')
local now = moment[1] * 1000000 + moment[2]
local full_at = tonumber(redis.call('GET', KEYS[1]) or now)
if full_at < now then full_at = now end
local after = full_at + tonumber(ARGV[1])
if after - now > tonumber(ARGV[2]) then return {0, full_at - now} end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000) + 1)
return {1, after - now}
"""


@dataclass(frozen=True)
class Rate:
    """per_second: tokens that come back; burst: tokens of a full bucket."""

    per_second: int
    burst: int

    @cached_property
    def token(self) -> int:
        """Microseconds until one token comes back."""
        return max(1, _MICRO // self.per_second)

    @cached_property
    def full(self) -> int:
        """Microseconds until an empty bucket is full."""
        return self.burst * self.token


class Verdict(NamedTuple):
    """remaining: tokens left; retry_seconds: until the next token; reset_seconds: until full; both rounded up."""

    allowed: bool
    remaining: int
    retry_seconds: int
    reset_seconds: int


class Buckets(Protocol):
    """Where the buckets are kept."""

    def take(self, name: str, rate: Rate) -> Verdict:
        """Take one token from the bucket of a name; a refused caller takes none."""
        ...


class OwnBuckets:
    """The buckets of this process, thread-safe, at most `most` of them.

    A full bucket needs no memory.  When all are in use a new name shares one bucket with other new names, so that
    inventing names gains nothing and takes nothing from the known ones.
    """

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns, *, most: int = MOST_NAMES) -> None:
        self._clock, self._most = clock, most
        self._full_at: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str, rate: Rate) -> Verdict:
        now = self._clock() // 1000
        with self._lock:
            name = self._room_for(name, now)
            full_at = max(self._full_at.get(name, now), now)
            allowed = full_at + rate.token - now <= rate.full
            if allowed:
                full_at += rate.token
                self._full_at[name] = full_at
                self._full_at.move_to_end(name)
        return _verdict(allowed=allowed, filling=full_at - now, rate=rate)

    def _room_for(self, name: str, now: int) -> str:
        """The name itself, or the shared one when every place is taken by a bucket that is not full."""
        while self._full_at and next(iter(self._full_at.values())) <= now:
            self._full_at.popitem(last=False)
        return name if name in self._full_at or len(self._full_at) < self._most else _SHARED


class SharedBuckets:
    """The buckets of several processes, in Redis; those of this process while Redis does not answer."""

    def __init__(self, url: str, kind: str, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._client = redis.Redis.from_url(
            url, socket_timeout=_PATIENCE_SECONDS, socket_connect_timeout=_PATIENCE_SECONDS
        )
        self._script = self._client.register_script(_SCRIPT)
        self._kind, self._clock, self._silent_until = kind, clock, clock()
        self._own = OwnBuckets(clock)

    def take(self, name: str, rate: Rate) -> Verdict:
        if self._clock() < self._silent_until:
            return self._own.take(name, rate)
        try:
            allowed, filling = self._script(
                keys=[f"marketplace:limit:{self._kind}:{name}"], args=[rate.token, rate.full]
            )
        except redis.RedisError as error:
            self._silent_until = self._clock() + _RETRY_REDIS_NS
            get_logger().warning("rate limits are counted per process: Redis is silent", kind=type(error).__name__)
            return self._own.take(name, rate)
        return _verdict(allowed=bool(allowed), filling=int(filling), rate=rate)

    def close(self) -> None:
        """End the connections."""
        self._client.close()


def _verdict(*, allowed: bool, filling: int, rate: Rate) -> Verdict:
    """filling: microseconds until the bucket is full again."""
    wait = 0 if allowed else filling + rate.token - rate.full
    return Verdict(allowed, (rate.full - filling) // rate.token, _seconds(wait), _seconds(filling))


def _seconds(micro: int) -> int:
    return -(-micro // _MICRO)
