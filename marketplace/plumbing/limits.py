"""How many requests one caller may send: by participant once it is known, by client address before that (T34)."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Never

from fastapi import Request

from marketplace.plumbing.buckets import Buckets, OwnBuckets, Rate, SharedBuckets, Verdict
from marketplace.plumbing.problems import TooManyRequests, Unauthenticated
from marketplace.plumbing.refusals import NOBODY
from marketplace.plumbing.runtime import Runtime
from marketplace.settings import Settings

# Whoever has one IPv6 address has its whole /64.
_OWN_BITS = 64


class RateLimited(TooManyRequests):
    """Too many requests in a short time."""

    def __init__(self, kind: str, rate: Rate, verdict: Verdict) -> None:
        wait = max(1, verdict.retry_seconds)
        super().__init__(
            f"too many requests of this {kind}",
            expected=f"at most {rate.per_second} a second, {rate.burst} at once",
            action=f"wait {wait} s, then send the same request again with the same Idempotency-Key",
            headers={
                "Retry-After": str(wait),
                # draft-ietf-httpapi-ratelimit-headers-10: quota and window in seconds; remaining and seconds to reset
                "RateLimit-Policy": f'"{kind}";q={rate.burst};w={-(-rate.burst // rate.per_second)}',
                "RateLimit": f'"{kind}";r={verdict.remaining};t={verdict.reset_seconds}',
            },
        )


class Limits:
    """The buckets of an application.  participants, addresses: kept apart, so that neither can crowd out the other."""

    def __init__(self, runtime: Runtime, participants: Buckets | None = None, addresses: Buckets | None = None) -> None:
        chosen = runtime.settings
        self._runtime = runtime
        self._participant = Rate(chosen.limit_participant_per_second, chosen.limit_participant_burst)
        self._address = Rate(chosen.limit_address_per_second, chosen.limit_address_burst)
        self._participants = participants or _buckets("participant", chosen)
        self._addresses = addresses or _buckets("address", chosen)

    @classmethod
    def of(cls, request: Request) -> Limits:
        """The limits of the application that a request reached, made at its first request."""
        state = request.app.state
        kept: Limits | None = getattr(state, "limits", None)
        if kept is None:
            kept = state.limits = cls(state.runtime)
        return kept

    def known(self, participant: str) -> None:
        """One more request of an authenticated participant.  Raises RateLimited."""
        verdict = self._participants.take(participant, self._participant)
        if not verdict.allowed:
            self._count(RateLimited("participant", self._participant, verdict), participant)

    def client(self, participant: str) -> None:
        """One more access token for a participant whose assertion holds.  Raises RateLimited."""
        verdict = self._participants.take(f"{participant} tokens", self._address)
        if not verdict.allowed:
            self._count(RateLimited("client", self._address, verdict), participant)

    def unknown(self, request: Request) -> None:
        """One more request of a caller that did not say who it is.  Raises RateLimited."""
        verdict = self._addresses.take(place_of(request), self._address)
        if not verdict.allowed:
            self._count(RateLimited("address", self._address, verdict), NOBODY)

    def refused(self, request: Request, error: Unauthenticated) -> None:
        """Count a caller whose proof of identity did not hold.  Raises RateLimited instead of the refusal."""
        self.unknown(request)
        self._runtime.refusals.add(error.slug, self._runtime.clock.now())

    def _count(self, error: RateLimited, participant: str) -> Never:
        self._runtime.refusals.add(error.slug, self._runtime.clock.now(), participant)
        raise error


def count_unknown(request: Request) -> None:
    """A dependency of pages, which ask nobody who it is.  Raises RateLimited."""
    Limits.of(request).unknown(request)


def _buckets(kind: str, settings: Settings) -> Buckets:
    """In Redis where there is one, else in this process."""
    url = settings.redis_url.get_secret_value()
    return SharedBuckets(url, kind) if url else OwnBuckets()


def place_of(request: Request) -> str:
    """The network that a caller without a name is counted by."""
    return place(request.client.host if request.client else "")


def place(host: str) -> str:
    """The network of an address: itself for IPv4, its /64 for IPv6."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ip_network((int(address), _OWN_BITS), strict=False))
    return str(address)
