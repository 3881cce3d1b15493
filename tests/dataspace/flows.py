"""The 65 enabled flows of the conformance kit, as both sides' moves in order.

`offer`: the other side says it and it is taken; `<offer`: we say it by ourselves; `!offer`: the other side says it, it
is refused, and nothing changes.  The subject of a flow is the id by which the decision table knows it.
"""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.dataspace.states import Protocol, Side

NEGOTIATIONS_AS_PROVIDER = {
    "CN:01-01": "request <offer terminate",
    "CN:01-02": "request <offer request <terminate",
    "CN:01-03": "request <offer accept <agree verify <finalize",
    "CN:01-04": "request <agree verify <finalize",
    "CN:02-01": "request <terminate",
    "CN:02-02": "request terminate",
    "CN:02-03": "request <agree terminate",
    "CN:02-04": "request <offer terminate",
    "CN:02-05": "request <offer <terminate",
    "CN:02-06": "request <offer accept <terminate",
    "CN:02-07": "request <agree verify <terminate",
    "CN:03-01": "request <agree verify <finalize !terminate",
    "CN:03-02": "request <offer !verify",
    "CN:03-03": "request <offer accept !verify",
    "CN:03-04": "request <offer request !request",
}
NEGOTIATIONS_AS_CONSUMER = {
    "CN_C:01-01": "<request offer <accept agree <verify finalize",
    "CN_C:01-02": "<request offer <request terminate",
    "CN_C:01-03": "<request offer <terminate",
    "CN_C:01-04": "<request agree <verify finalize",
    "CN_C:02-01": "<request terminate",
    "CN_C:02-02": "<request <terminate",
    "CN_C:02-03": "<request agree <terminate",
    "CN_C:02-04": "<request offer terminate",
    "CN_C:02-05": "<request offer <accept terminate",
    "CN_C:02-06": "<request agree <verify terminate",
    "CN_C:03-01": "<request !finalize",
    "CN_C:03-02": "<request offer !agree",
    "CN_C:03-03": "<request offer !finalize",
    "CN_C:03-04": "<request offer <accept !finalize",
    "CN_C:03-05": "<request offer <accept !offer",
    "CN_C:03-06": "<request offer <accept agree !finalize",
}
TRANSFERS_AS_PROVIDER = {
    "TP:01-01": "request <start <terminate",
    "TP:01-02": "request <start <complete",
    "TP:01-03": "request <start <suspend <terminate",
    "TP:01-04": "request <start <suspend <start <complete",
    "TP:01-05": "request <terminate",
    "TP:02-01": "request <start terminate",
    "TP:02-02": "request <start complete",
    "TP:02-03": "request <start suspend terminate",
    "TP:02-05": "request terminate",
    "TP:03-01": "request !complete",
    "TP:03-02": "request !suspend",
    "TP:03-03": "request <start suspend !complete",
    "TP:03-04": "request <start terminate !start",
    "TP:03-05": "request <start terminate !suspend",
    "TP:03-06": "request <start terminate !complete",
}
TRANSFERS_AS_CONSUMER = {
    "TP_C:01-01": "<request start terminate",
    "TP_C:01-02": "<request start complete",
    "TP_C:01-03": "<request start suspend terminate",
    "TP_C:01-04": "<request start suspend start complete",
    "TP_C:01-05": "<request terminate",
    "TP_C:02-01": "<request start <terminate",
    "TP_C:02-02": "<request start <complete",
    "TP_C:02-03": "<request start <suspend <terminate",
    "TP_C:02-05": "<request <terminate",
    "TP_C:03-01": "<request !complete",
    "TP_C:03-02": "<request !suspend",
    "TP_C:03-03": "<request start suspend !complete",
    "TP_C:03-04": "<request start terminate !start",
    "TP_C:03-05": "<request start terminate !suspend",
    "TP_C:03-06": "<request start terminate !complete",
}
CATALOGUE = ("MET:01-01", "CAT:01-01", "CAT:01-02", "CAT:01-03")


@dataclass(frozen=True)
class Flow:
    """One flow.  side: the part that we play; subject: the data set or the agreement."""

    name: str
    protocol: Protocol
    side: Side
    subject: str
    moves: tuple[str, ...]


def _flows(table: dict[str, str], protocol: Protocol, side: Side, prefix: str) -> list[Flow]:
    return [
        Flow(name, protocol, side, prefix + name.partition(":")[2].replace("-", ""), tuple(moves.split()))
        for name, moves in table.items()
    ]


FLOWS = [
    *_flows(NEGOTIATIONS_AS_PROVIDER, Protocol.NEGOTIATION, Side.PROVIDER, "ACN"),
    *_flows(NEGOTIATIONS_AS_CONSUMER, Protocol.NEGOTIATION, Side.CONSUMER, "ACNC"),
    *_flows(TRANSFERS_AS_PROVIDER, Protocol.TRANSFER, Side.PROVIDER, "ATP"),
    *_flows(TRANSFERS_AS_CONSUMER, Protocol.TRANSFER, Side.CONSUMER, "ATPC"),
]
