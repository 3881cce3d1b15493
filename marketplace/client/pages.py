"""A party's own pages, fetched with its key: what a browser, which has no key, is not shown."""

from __future__ import annotations

import html

from marketplace.client.api import ApiClient

DESK_PAGES = ("director", "sales", "purchases", "shares")


def own_page(client: ApiClient, name: str, language: str) -> bytes:
    """A page of the caller's desk, to be kept as a file and opened in a browser.

    name: one of DESK_PAGES, or the address of any page of the service, `/invoices/…`; language: `en` or `zh`.  Its
    links lead to the service, which asks again who reads.  Raises ProblemError.
    """
    address = name if name.startswith("/") else f"/participants/{client.participant_id}/{name}"
    page = client.get_bytes(address, {"lang": language})
    base = f'<base href="{html.escape(client.base_url)}/">'.encode()
    return page.replace(b"<head>\n", b"<head>\n" + base + b"\n", 1)
