"""Collecting signs the record of the version that was sealed, whatever the service names as its document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from marketplace.client.api import ApiClient, NotTheDocument, in_process
from marketplace.client.collect import collect
from marketplace.main import create_app
from tests.house import House
from tests.legal.parts import registration
from tests.negotiation.parts import drafted


def test_what_is_no_record_of_the_version_is_not_signed(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    others = drafted(house).document
    (tmp_path / "scan.dcm").write_bytes(b"no scan")
    url, posted = house.runtime.settings.public_url, ApiClient.post

    def lying(client: ApiClient, path: str, *args: Any, **named: Any) -> Any:
        return {"document": {"sha256": others}} if path.endswith("/seal") else posted(client, path, *args, **named)

    with in_process(create_app(house.runtime), url) as http:
        hospital = ApiClient(http, url, house.cast["hospital"].id, house.cast["hospital"].key, house.clock)
        asset = hospital.post("/v1/assets", registration().model_dump(mode="json"))["id"]
        monkeypatch.setattr(ApiClient, "post", lying)
        with pytest.raises(NotTheDocument, match="not the record of this version"):
            collect(hospital, asset, tmp_path)
