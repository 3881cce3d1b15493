"""A real S3 server on loopback: the Versity gateway over a folder, which checks signatures, parts and their sizes."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.generated import ROOT
from tests.servers import free_port

IDENTITY, SECRET, REGION, BUCKET = "example-key-id", "example-secret-of-the-receiver", "eu-example-1", "deliveries"


@dataclass(frozen=True)
class Bucket:
    """The server and the folder in which its one bucket lies.  origin: its address."""

    origin: str
    folder: Path

    @property
    def parts(self) -> list[Path]:
        """What was uploaded and is not joined."""
        return [one for one in self.folder.rglob("*") if one.is_file() and ".sgwtmp" in one.parts]

    @property
    def objects(self) -> list[Path]:
        """The finished objects; what is uploaded in parts lies hidden until it is joined."""
        return [one for one in self.folder.rglob("*") if one.is_file() and ".sgwtmp" not in one.parts]


def gateway() -> str | None:
    """The server's binary, built by `make s3`; None where there is none."""
    built = ROOT / ".tools" / "versitygw"
    return str(built) if built.is_file() else shutil.which("versitygw")


@contextmanager
def serving(binary: str, folder: Path) -> Iterator[Bucket]:
    """Serve one bucket below a folder until the block ends."""
    (folder / BUCKET).mkdir(parents=True)
    port = free_port()
    keys = ["--access", IDENTITY, "--secret", SECRET, "--region", REGION]
    server = subprocess.Popen(
        [binary, "--quiet", "--port", f"127.0.0.1:{port}", *keys, "posix", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await(server, port)
        yield Bucket(f"http://127.0.0.1:{port}", folder / BUCKET)
    finally:
        server.terminate()
        server.wait(60)


def _await(server: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert server.poll() is None, "the S3 server ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the S3 server does not listen")
