"""One settings class; every field can be set as environment variable `MARKETPLACE_<FIELD>` or secret file."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, IPvAnyNetwork, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url

_MORE_OF_PRODUCTION = ("object_store_url", "policy_publisher_key")


class Settings(BaseSettings):
    """How this instance runs; the defaults are the embedded form that `make run` uses."""

    model_config = SettingsConfigDict(
        env_prefix="MARKETPLACE_",
        # Files named like the variables, e.g. marketplace_database_password; made by the container platform.
        secrets_dir=os.environ.get("MARKETPLACE_SECRETS_FOLDER"),
        extra="forbid",
        frozen=True,
    )

    data_folder: Path = Field(Path("var/market"), description="Folder of this instance's own files.")
    database_url: str = Field("", description="SQLAlchemy address; empty means SQLite in the data folder.")
    database_password: SecretStr = Field(SecretStr(""), description="Password of the database user; best as a file.")
    redis_url: SecretStr = Field(SecretStr(""), description="Redis address; empty means work is relayed in process.")
    public_url: str = Field("http://127.0.0.1:8000", description="Address that clients use; audience of tokens.")
    log_file: Path | None = Field(None, description="Where the process writes about itself; none: standard error.")
    environment: Literal["embedded", "production"] = Field(
        "embedded", description="Production refuses the embedded shortcuts."
    )

    policy_engine: Literal["regorus", "opa"] = Field("regorus", description="Rego in process, or an OPA server.")
    opa_host: str = Field("127.0.0.1", description="Host of the OPA server.")
    opa_port: int = Field(8181, description="Port of the OPA server.")
    opa_ca_file: Path | None = Field(None, description="CA of the OPA server's certificate; none means plain HTTP.")
    policy_deadline_ms: int = Field(1000, description="A decision that takes longer is a denial.")

    policy_publisher_key: str = Field(
        "",
        description="Public key (JWK) of the publisher whose bundles are taken; empty: the policies of the release.",
    )
    policy_overlap_seconds: int = Field(
        5, ge=0, le=60, description="How long after a reload an OPA server may still decide by the bundle before."
    )

    object_store_url: str = Field("", description="s3://bucket/prefix; empty means a folder in the data folder.")
    object_store_endpoint: str = Field("", description="S3 endpoint, for stores other than the vendor's.")
    object_store_key_id: SecretStr = Field(SecretStr(""), description="S3 access key id.")
    object_store_secret: SecretStr = Field(SecretStr(""), description="S3 secret access key.")

    log_origin: str = Field("marketplace.example/log", description="Origin line of checkpoints (C2SP).")
    log_signer_url: str = Field("", description="Address of the log signer; empty means a child process.")
    witness_url: str = Field("", description="Address of the witness; empty means a child process.")
    log_signer_public_key: str = Field("", description="Verifier key of the log signer; empty: read from its folder.")
    witness_public_key: str = Field("", description="Verifier key of the witness; empty: read from its folder.")
    checkpoint_interval_ms: int = Field(500, description="How often new entries are integrated and signed.")
    receipt_merge_seconds: int = Field(
        60, description="Receipts promise that their entries are in a cosigned tree within this."
    )

    access_token_seconds: int = Field(300, description="Life of an access token.")
    clock_skew_seconds: int = Field(60, description="Tolerated difference between clocks.")
    evidence_retention_days: int = Field(
        2192, ge=365, description="How long after its last act a person stays tied to its entries; HIPAA: 6 years."
    )
    idempotency_days: int = Field(400, description="How long answers to Idempotency-Keys are kept; 30 is promised.")
    upload_limit_mib: int = Field(2048, description="Largest single file accepted.")
    parse_workers: int = Field(2, description="Child processes that open untrusted files.")
    parse_memory_mib: int = Field(512, description="Address space limit of such a child.")
    parse_seconds: int = Field(10, description="Time limit for one file in such a child.")
    window_kib: int = Field(1024, description="Bytes served per logged window.")
    transfer_lease_seconds: int = Field(60, description="A transfer silent for longer is settled by the sweeper.")
    send_buffer_kib: int = Field(
        128, description="Kernel send buffer of a connection; what it holds cannot be stopped."
    )
    stop_watch_ms: int = Field(25, description="How often running streams look whether they were stopped.")
    stream_idle_seconds: int = Field(30, description="A client that takes nothing of a stream for longer is cut off.")
    answer_seconds: int = Field(
        60, ge=1, description="Longest time for one long answer; it keeps a state of the database open that long."
    )
    use_continues_hours: int = Field(24, description="How long a counted use may be continued under its key.")
    use_legs: int = Field(100, ge=1, description="Answers one counted use may have, and one more for every 16 MiB.")

    limit_participant_per_second: int = Field(200, ge=1, description="Requests of one participant in the long run.")
    limit_participant_burst: int = Field(5000, ge=1, description="Requests of one participant at once.")
    limit_address_per_second: int = Field(50, ge=1, description="Requests of one address without a valid token.")
    limit_address_burst: int = Field(2000, ge=1, description="Such requests at once.")
    limit_connections: int = Field(
        512, ge=8, description="Connections at once; one address that is no trusted proxy has at most half of them."
    )
    header_seconds: int = Field(10, ge=1, description="The head of a request must be complete within this.")
    trusted_proxies: tuple[IPvAnyNetwork, ...] = Field(
        (), description="Addresses or networks of our own proxies, whose X-Forwarded-For is believed."
    )

    outgoing_ports: tuple[int, ...] = Field((443,), description="Ports of participants' addresses that may be called.")
    outgoing_seconds: int = Field(3, description="An address that a participant named must answer within this.")
    outgoing_answer_kib: int = Field(64, description="Largest answer taken from such an address.")
    outgoing_allow_loopback: bool = Field(False, description="Tests only: such an address may be this machine.")

    dataspace_token_seconds: int = Field(900, ge=30, description="Life of a token that pulls data of one transfer.")
    dataspace_push_seconds: int = Field(
        1800, ge=1, description="Longest attempt to push a delivery; the next one goes on where it ended."
    )
    dataspace_inbox_mib: int = Field(2048, ge=1, description="Largest delivery that a connector may push to a buyer.")
    dataspace_pushes_asked: int = Field(4, ge=1, description="Most pushes that a buyer here waits for at one time.")
    dataspace_pushes_made: int = Field(
        1, ge=1, description="Most pushes made to one buyer at one time, of two (production: eight) in all."
    )
    dataspace_catalogue_kib: int = Field(512, ge=1, description="Largest page of a catalogue taken from a connector.")
    dataspace_conformance: str = Field(
        "",
        description="Tests only: the connector of the Dataspace Protocol's conformance kit, answered by a fixed table.",
    )
    dataspace_mock_identity: str = Field(
        "", description="Tests only: the connector that is believed without signature, as Eclipse EDC's mock identity."
    )

    @model_validator(mode="after")
    def _no_embedded_parts_in_production(self) -> Self:
        """Production refuses the embedded shortcuts: each part must be named."""
        if self.environment == "production":
            needed = ("database_url", "redis_url", "log_signer_url", "witness_url", "log_signer_public_key")
            values = {name: getattr(self, name) for name in (*needed, "witness_public_key", *_MORE_OF_PRODUCTION)}
            plain = {k: v.get_secret_value() if isinstance(v, SecretStr) else v for k, v in values.items()}
            if missing := [name for name, value in plain.items() if not value]:
                raise ValueError(f"production needs {', '.join(f'MARKETPLACE_{name.upper()}' for name in missing)}")
            if self.dataspace_conformance:
                raise ValueError("production answers by its rooms: MARKETPLACE_DATASPACE_CONFORMANCE must be empty")
            if self.dataspace_mock_identity:
                raise ValueError("production believes nobody: MARKETPLACE_DATASPACE_MOCK_IDENTITY must be empty")
            if self.outgoing_allow_loopback:
                raise ValueError("production does not call itself: MARKETPLACE_OUTGOING_ALLOW_LOOPBACK must be off")
        return self

    @model_validator(mode="after")
    def _one_test_mode(self) -> Self:
        """The kit's mode and the mock identity are two instances' matters."""
        if self.dataspace_conformance and self.dataspace_mock_identity:
            raise ValueError("one test mode at a time: MARKETPLACE_DATASPACE_CONFORMANCE or _MOCK_IDENTITY")
        return self

    @model_validator(mode="after")
    def _no_proxy_everywhere(self) -> Self:
        """Whoever is a trusted proxy names the address by which a caller is counted."""
        if any(network.prefixlen == 0 for network in self.trusted_proxies):
            raise ValueError("MARKETPLACE_TRUSTED_PROXIES names every address: callers could then choose their own")
        return self

    @property
    def test_mode(self) -> str | None:
        """The setting that makes this a test instance, None for the product as it is."""
        modes = ("dataspace_conformance", "dataspace_mock_identity")
        return next((name for name in modes if getattr(self, name)), None)

    @cached_property
    def effective_database_url(self) -> str:
        """The database address with the embedded default filled in."""
        if not self.database_url:
            return f"sqlite:///{self.data_folder / 'market.sqlite3'}"
        url = make_url(self.database_url)
        if password := self.database_password.get_secret_value():
            url = url.set(password=password)
        return url.render_as_string(hide_password=False)
