"""The production form stays in step with the settings and with the Compose schema."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from marketplace.settings import Settings
from workers.app import celery_app

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
OURS = ("migrate", "api", "worker", "pusher", "data-pusher", "scheduler", "log-signer", "witness")


def _services() -> dict[str, dict[str, object]]:
    services: dict[str, dict[str, object]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return services


def _docker(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False)


def test_the_file_follows_the_compose_schema() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_docker_compose_accepts_the_file_where_it_exists() -> None:
    if shutil.which("docker") and _docker("compose", "version").returncode == 0:
        done = _docker("compose", "-f", str(COMPOSE), "config", "-q")
        assert done.returncode == 0, done.stderr
    assert {"database", "broker", "policy", "objects"} < set(_services())


def test_every_variable_of_the_file_is_a_setting() -> None:
    known = {f"MARKETPLACE_{name.upper()}" for name in Settings.model_fields} | {"MARKETPLACE_SECRETS_FOLDER"}
    for service in _services().values():
        used = {name for name in (service.get("environment") or {}) if name.startswith("MARKETPLACE_")}
        assert used <= known, used - known


def test_every_secret_of_a_service_is_a_setting() -> None:
    known = {f"marketplace_{name}" for name in Settings.model_fields}
    for service in _services().values():
        targets = {secret["target"] for secret in service.get("secrets") or [] if isinstance(secret, dict)}
        assert targets <= known


def test_every_queue_has_a_service_that_takes_from_it_alone() -> None:
    commands = [service.get("command") for service in _services().values()]
    taken = [command[command.index("-Q") + 1] for command in commands if isinstance(command, list) and "-Q" in command]
    assert sorted(taken) == sorted(queue.name for queue in celery_app("memory://").conf.task_queues)


def test_every_service_runs_without_root_and_has_a_health_check() -> None:
    for name, service in _services().items():
        assert service.get("user") not in {None, "root", "0", "0:0"}, name
        assert "healthcheck" in service or name in {"migrate", "bucket"}, name


def test_no_secret_stands_in_the_file() -> None:
    text = COMPOSE.read_text().lower()
    for service in _services().values():
        for name, value in (service.get("environment") or {}).items():
            assert not any(word in name.lower() for word in ("password", "secret")) or str(value).startswith(
                "/run/secrets"
            )
    assert "begin private key" not in text


def test_our_own_services_are_confined() -> None:
    for name in OURS:
        service = _services()[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
