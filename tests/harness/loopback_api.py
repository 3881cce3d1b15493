"""`python -m tests.harness.loopback_api PORT`: the production API, on loopback and a free port."""

from __future__ import annotations

import sys

from marketplace.plumbing.sockets import listening, serve
from marketplace.settings import Settings
from workers.instance import open_api

if __name__ == "__main__":
    settings = Settings()
    with open_api(settings) as application:
        serve(application, settings, listening("127.0.0.1", int(sys.argv[1])), log_level="warning")
