"""Every error is a problem document (RFC 9457) that says what to do and shows nothing of our inside."""

from __future__ import annotations

import errno

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from marketplace.plumbing.problems import domain_error_of, status_of
from tests.plumbing.door import ERRORS, Door


@pytest.mark.parametrize("slug", ERRORS)
def test_every_kind_of_error_is_a_problem_document(door: Door, slug: str) -> None:
    status, error = ERRORS[slug]
    answer = door.hospital.knock(f"one/raise/{slug}")
    assert answer.status_code == status == status_of(error)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    told = {name: getattr(error, name) for name in ("expected", "got", "action") if getattr(error, name)}
    assert body == {
        "type": f"/problems/{slug}",
        "title": error.title,
        "status": status,
        "detail": error.detail,
        **told,
    }
    assert answer.headers.get("www-authenticate") == ("DPoP" if status == 401 else None)


def test_the_framework_s_own_errors_are_problem_documents_too(door: Door) -> None:
    missing = door.hospital._http.get("http://127.0.0.1:8000/v1/nowhere")
    assert (missing.status_code, missing.json()["status"]) == (404, 404)
    assert missing.headers["content-type"] == "application/problem+json"
    wrong = door.hospital._http.delete("http://127.0.0.1:8000/v1/door/one")
    assert wrong.status_code == 405
    assert wrong.headers["content-type"] == "application/problem+json"
    malformed = door.hospital.knock("one/answer/many")
    assert malformed.status_code == 422
    assert malformed.json()["errors"][0]["pointer"] == "/path/status"


def test_a_caller_who_proves_nothing_is_told_so_and_leaves_no_trace(door: Door) -> None:
    answer = door.hospital._http.post(
        "http://127.0.0.1:8000/v1/door/one/knock", json={}, headers={"Idempotency-Key": "key-00000001"}
    )
    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers
    assert door.number("one") == 0
    assert door.entries("edge:refused") == []


class DiskFull(Exception):
    sqlstate = "53100"


class Taken(Exception):
    sqlstate = "23505"


class TakenInSqlite(Exception):
    sqlite_errorname = "SQLITE_CONSTRAINT_UNIQUE"


class NoParent(Exception):
    sqlstate = "23503"


@pytest.mark.parametrize(
    ("error", "slug"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "storage-full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "storage-full"),
        (OperationalError("INSERT", {}, Exception("database or disk is full")), "storage-full"),
        (OperationalError("INSERT", {}, DiskFull("could not extend file")), "storage-full"),
        (OperationalError("INSERT", {}, Exception("database is locked")), "database-busy"),
        (PoolTimeout("QueuePool limit reached"), "database-busy"),
        (IntegrityError("INSERT", {}, Taken("duplicate key")), "somebody-was-faster"),
        (IntegrityError("INSERT", {}, TakenInSqlite("UNIQUE constraint failed")), "somebody-was-faster"),
        (IntegrityError("INSERT", {}, NoParent("violates foreign key constraint")), None),
        (PermissionError(errno.EACCES, "Permission denied"), None),
        (ConnectionResetError(errno.ECONNRESET, "reset"), None),
    ],
)
def test_errors_of_the_machine_are_told_apart(error: Exception, slug: str | None) -> None:
    meaning = domain_error_of(error)
    assert (meaning.slug if meaning else None) == slug
