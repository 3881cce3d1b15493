"""Contracts as files: read, set as PDF and compared offline, from the signed bytes alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from marketplace.commands.options import AsJson
from marketplace.kernel.canonical import Json, read_strictly

if TYPE_CHECKING:
    from marketplace.negotiation.contract import Signature
    from marketplace.negotiation.differences import Paper

Contract = Annotated[
    Path, typer.Argument(help="The document as GET /v1/documents/… serves it, or a bundle that holds it.")
]
Which = Annotated[str, typer.Option("--agreement", help="Id of the one that is meant, if a bundle holds several.")]
Language = Annotated[Literal["zh", "en"], typer.Option("--lang", help="Language of the text.")]
Answer = Annotated[
    Path | None, typer.Option("--signatures", help="The answer of GET /v1/agreements/…; a bundle has its own.")
]


def write_text(file: Contract, agreement: Which = "", lang: Language = "zh") -> None:
    """Print a contract as plain text from its document."""
    from marketplace.negotiation.agreement import agreement_text
    from marketplace.negotiation.contract import read_agreement

    body, _ = read_contract(file, agreement)
    typer.echo(agreement_text(read_agreement(body), lang), nl=False)


def write_pdf(
    file: Contract,
    out: Annotated[Path, typer.Option(help="The PDF file to write.")],
    agreement: Which = "",
    signatures: Answer = None,
) -> None:
    """Write a contract as PDF from its document and signatures: the same bytes as the service gives.

    The parties' signatures are checked with the keys beside them; whose keys these are, `marketplace verify` checks.
    """
    from marketplace.negotiation.contract import contract_pdf

    body, made = read_contract(file, agreement)
    if signatures is not None:
        made = _signatures(json.loads(signatures.read_bytes()))
    out.write_bytes(contract_pdf(body, made))
    typer.echo(f"{out}: {out.stat().st_size} bytes")


def compare(
    old: Annotated[Path, typer.Argument(help="A contract file, or a template as NAME/vN.")],
    new: Annotated[Path, typer.Argument(help="The same kind of thing, later.")],
    lang: Language = "zh",
    as_json: AsJson = False,
) -> None:
    """Say in words what differs between two contracts, or between two templates."""
    from marketplace.negotiation.differences import differences

    found = differences(_paper(old), _paper(new))
    if as_json:
        typer.echo(json.dumps([vars(one) for one in found], ensure_ascii=False))
    else:
        for one in found:
            typer.echo(f"{one.part}: {one.zh if lang == 'zh' else one.en}")


def _paper(given: Path) -> Paper:
    from marketplace.exchange.templates import template, templates
    from marketplace.negotiation.contract import read_agreement
    from marketplace.negotiation.differences import paper_of_agreement, paper_of_template

    if str(given) in templates():
        return paper_of_template(template(str(given)))
    body, _ = read_contract(given)
    return paper_of_agreement(read_agreement(body))


def read_contract(file: Path, agreement: str = "") -> tuple[bytes, list[Signature]]:
    """The exact bytes of a contract and the signatures that lie beside it, from a document or a bundle.

    agreement: its id, where a bundle holds several.  Raises AmbiguousDocument, BadParameter.
    """
    content = file.read_bytes()
    parsed = read_strictly(content)
    if not (isinstance(parsed, dict) and "bundle" in parsed):
        return content.strip(), []
    found = [one for one in parsed["documents"] if one["kind"] == "agreement" and agreement in ("", _id(one))]
    if len(found) != 1:
        raise typer.BadParameter(f"{file} holds {len(found)} such agreements: {', '.join(map(_id, found))}")
    return found[0]["body"].encode(), _signatures(found[0])


def _id(document: Json) -> str:
    return str(json.loads(document["body"])["id"])


def _signatures(holder: Any) -> list[Signature]:
    from marketplace.negotiation.contract import Signature

    return [Signature(one["signer"], one["jws"], one["jwk"]) for one in holder["signatures"]]
