"""A long answer comes piece by piece, in one state of the database, and never looks whole when it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from fastapi import FastAPI

from marketplace.plumbing.pieces import AT_ONCE, OF_ONE, PLACES, PiecesResponse, TooManyLongAnswers, in_pieces
from marketplace.plumbing.turns import Turns
from tests.house import House

Send = Callable[[Any], Any]


class Place:
    """A session that tells whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


def free_places() -> int:
    return PLACES.free


def answer(
    house: House, parts: Iterator[bytes], who: str = "prt_peer", **settings: int
) -> tuple[PiecesResponse, Place]:
    place: Any = Place()
    chosen = house.runtime.settings.model_copy(update=settings)
    return PiecesResponse(parts, place, "application/json", chosen, who), place


def sent(response: PiecesResponse, send: Send | None = None, *, gone: bool = False) -> list[Any]:
    """The messages of an answer that a server got."""
    messages: list[Any] = []

    async def keep(message: Any) -> None:
        messages.append(message)
        if send is not None:
            await send(message)

    async def receive() -> Any:
        if not gone:
            await anyio.sleep_forever()
        return {"type": "http.disconnect"}

    anyio.run(response, {"type": "http", "app": FastAPI(), "state": {}}, receive, keep)
    return messages


def is_whole(messages: list[Any]) -> bool:
    return messages[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


def test_the_pieces_are_sent_and_everything_is_given_back(house: House) -> None:
    before = free_places()
    response, place = answer(house, iter([b"a", b"b", b"c"]))
    assert "content-length" not in response.headers
    assert free_places() == before - 1
    messages = sent(response)
    assert b"".join(one.get("body", b"") for one in messages) == b"abc"
    assert is_whole(messages)
    assert (place.closed, free_places()) == (True, before)


def _breaks() -> Iterator[bytes]:
    yield b"a"
    raise OSError("the database is gone")


async def _takes_nothing(_message: Any) -> None:
    await anyio.sleep_forever()


def _endless() -> Iterator[bytes]:
    while True:
        yield b"a"


@pytest.mark.parametrize(
    ("parts", "send", "gone", "settings"),
    [
        (_breaks, None, False, {}),
        (_endless, None, True, {}),
        (_endless, None, False, {"answer_seconds": 1}),
        (_endless, _takes_nothing, False, {"answer_seconds": 1}),
    ],
    ids=["a read fails", "the client is gone", "it takes too long", "the client takes nothing"],
)
def test_what_stops_early_has_no_end(
    house: House, parts: Callable[[], Iterator[bytes]], send: Send | None, gone: bool, settings: dict[str, int]
) -> None:
    before = free_places()
    response, place = answer(house, parts(), **settings)
    messages = sent(response, send, gone=gone)
    assert messages[0]["type"] == "http.response.start"
    assert not is_whole(messages)
    assert (place.closed, free_places()) == (True, before)


def test_what_cannot_begin_is_refused_before_the_first_byte(house: House) -> None:
    running = [answer(house, iter([b"a"]))[0] for _ in range(OF_ONE)]
    with pytest.raises(TooManyLongAnswers):
        answer(house, iter([b"a"]))
    running += [answer(house, iter([b"a"]), "prt_other")[0] for _ in range(AT_ONCE - OF_ONE)]
    with pytest.raises(TooManyLongAnswers):
        answer(house, iter([b"a"]), "prt_third")
    for one in running:
        sent(one)
    before = free_places()
    with pytest.raises(OSError, match="gone"):
        answer(house, _at_once())
    assert free_places() == before == AT_ONCE


def test_a_long_answer_waits_for_no_download(house: House) -> None:
    """Each that runs has a thread, so that its time is its own: those of downloads wait for stores and databases."""
    before, app = free_places(), FastAPI()
    response, place = answer(house, iter([b"a", b"b"]), answer_seconds=10)

    async def told() -> list[Any]:
        messages: list[Any] = []
        downloads = Turns.DOWNLOADS.of(app)
        names = range(int(downloads.total_tokens))
        for name in names:
            downloads.acquire_on_behalf_of_nowait(name)

        async def keep(message: Any) -> None:
            messages.append(message)

        async def end_at_last() -> None:
            await anyio.sleep(12)  # by then the answer would have been cut, if it waited for them
            for name in names:
                downloads.release_on_behalf_of(name)

        async with anyio.create_task_group() as group:
            group.start_soon(end_at_last)
            await response({"type": "http", "app": app, "state": {}}, anyio.sleep_forever, keep)
            group.cancel_scope.cancel()
        return messages

    assert is_whole(anyio.run(told))
    assert (place.closed, free_places()) == (True, before)


def _at_once() -> Iterator[bytes]:
    raise OSError("the database is gone")
    yield b""


def test_texts_are_joined_to_pieces() -> None:
    assert list(in_pieces(["ab", "肺", "c"], size=4)) == ["ab肺".encode(), b"c"]
    assert list(in_pieces([])) == []
