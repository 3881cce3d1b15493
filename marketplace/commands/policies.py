"""Policy bundles on the command line: the publisher builds and signs them, the platform operator puts them in force."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated

import typer

from marketplace.commands.options import HERE, AsJson, Party, Url, client_of, show

policy_commands = typer.Typer(help="Policy bundles: build, check, put in force.", no_args_is_help=True)

Folder = Annotated[Path, typer.Option("--policies", help="Folder of the policies.")]
Key = Annotated[Path, typer.Option("--key", help="The publisher's own folder, with its private key.")]


@policy_commands.command("bundle")
def bundle(
    key: Key,
    version: Annotated[int, typer.Option(min=1, help="Greater than that of every bundle before.")],
    out: Annotated[Path, typer.Option("--out", help="Where to write the bundle.")],
    policies: Folder = Path("policies"),
) -> None:
    """Build a signed bundle for this service and for OPA servers; the same policies give the same bytes."""
    from marketplace.client.keys import KeyFolder
    from marketplace.plumbing import policybundle
    from marketplace.plumbing.policyfiles import PolicyFiles

    _require_profile(policies)
    files, publisher = PolicyFiles(policies), KeyFolder(key.parent).load(key.name).key
    out.write_bytes(policybundle.build(files, version, publisher))
    typer.echo(f"{out}: version {version}, revision {files.revision}, signed by {publisher.kid}")


@policy_commands.command("key")
def show_key(
    key: Key,
    algorithm: Annotated[str, typer.Option(help="EdDSA or ES256, for a new key.")] = "ES256",
    pem: Annotated[bool, typer.Option("--pem", help="As PEM, for an OPA server.")] = False,
) -> None:
    """Print the publisher's public key, made the first time: a JWK for MARKETPLACE_POLICY_PUBLISHER_KEY."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from marketplace.client.keys import KeyFolder
    from marketplace.kernel.canonical import canonical_text

    own = KeyFolder(key.parent).open(key.name, algorithm).key
    public = own.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    typer.echo(public.decode().strip() if pem else canonical_text(own.public_jwk))


@policy_commands.command("lint")
def lint(policies: Folder = Path("policies")) -> None:
    """Name everything in policies that engines may read differently; exit code 1 when there is anything."""
    _require_profile(policies)
    typer.echo(f"{policies}: every policy keeps to the profile")


@policy_commands.command("accept")
def accept(file: Path, party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """Put a bundle in force as platform operator; refused ones change nothing."""
    with client_of(url, party) as client:
        show(client.post("/v1/policies", {"bundle": base64.b64encode(file.read_bytes()).decode()}), as_json)


def _require_profile(policies: Path) -> None:
    from marketplace.plumbing.policyprofile import offences

    texts = [(path.relative_to(policies).as_posix(), path.read_text("utf-8")) for path in policies.rglob("*.rego")]
    found = offences(sorted(texts))
    for one in found:
        typer.secho(f"marketplace: {one}", fg="red", err=True)
    if found or not texts:
        typer.secho(f"marketplace: {len(found)} offences in {len(texts)} policies of {policies}", fg="red", err=True)
        raise typer.Exit(1)
