"""The generated documents: OpenAPI, state diagrams, role matrix, settings, reasons.  `make generate` writes them,
`make check` compares.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from marketplace.assets.stages import STAGES
from marketplace.dataspace.states import CONTRACT_NEGOTIATION, HELD_AGREEMENT, TRANSFER_PROCESS
from marketplace.exchange.rules import LISTING
from marketplace.governance.rules import JOB
from marketplace.kernel.transitions import Machine
from marketplace.ledger.periods import PERIODS
from marketplace.main import build_runtime, create_app
from marketplace.negotiation.duties.rules import DELETION_DUTY, REPORT_DUTY
from marketplace.negotiation.rules import AGREEMENT, NEGOTIATION
from marketplace.negotiation.succession.rules import ACT, SUCCESSOR
from marketplace.registration.rules import APPLICATIONS, CERTIFICATES
from marketplace.settings import Settings
from marketplace.settlement.rules import INVOICE, OUTCOME, PAYMENT_ORDER

ROOT = Path(__file__).resolve().parents[1]
MACHINES: tuple[Machine, ...] = (
    STAGES,
    JOB,
    APPLICATIONS,
    CERTIFICATES,
    LISTING,
    NEGOTIATION,
    AGREEMENT,
    REPORT_DUTY,
    DELETION_DUTY,
    PERIODS,
    CONTRACT_NEGOTIATION,
    TRANSFER_PROCESS,
    HELD_AGREEMENT,
    ACT,
    SUCCESSOR,
    INVOICE,
    OUTCOME,
    PAYMENT_ORDER,
)


def documents() -> dict[Path, str]:
    """Every generated file with the content it should have."""
    return {
        ROOT / "contracts" / "openapi.json": _openapi(),
        ROOT / "docs" / "reference" / "states.md": _states(),
        ROOT / "docs" / "reference" / "roles.md": _roles(),
        ROOT / "docs" / "reference" / "settings.md": _settings(),
        ROOT / "docs" / "reference" / "reasons.md": _reasons(),
    }


def differences() -> list[str]:
    """The files whose content is not what the code says."""
    return [
        str(path.relative_to(ROOT))
        for path, text in documents().items()
        if not path.is_file() or path.read_text() != text
    ]


def _openapi() -> str:
    with tempfile.TemporaryDirectory() as folder:
        runtime = build_runtime(Settings(data_folder=Path(folder)))
        try:
            document = create_app(runtime).openapi()
        finally:
            runtime.close()
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _states() -> str:
    parts = ["# States\n\nGenerated from the state tables; each arrow says who may take it and its audit tag.\n"]
    parts += [f"\n## {machine.name}\n\n```mermaid\n{machine.mermaid()}\n```\n" for machine in MACHINES]
    return "".join(parts)


def _roles() -> str:
    roles = sorted({role for machine in MACHINES for step in machine.steps for role in step.who})
    lines = ["# Who may take which step", "", "Generated from the state tables.", ""]
    lines += [f"| step | {' | '.join(roles)} |", f"|---|{'---|' * len(roles)}"]
    for machine in MACHINES:
        for step in machine.steps:
            cells = " | ".join("x" if role in step.who else "" for role in roles)
            lines.append(f"| {machine.name}: {step.source} → {step.target} | {cells} |")
    return "\n".join(lines) + "\n"


def _settings() -> str:
    lines = ["# Settings", "", "Environment variable or secret file `MARKETPLACE_<NAME>`. Generated.", ""]
    lines += ["| name | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        lines.append(f"| `{name}` | `{field.default}` | {field.description} |")
    return "\n".join(lines) + "\n"


def _reasons() -> str:
    lines = ["# Reason codes", "", "Why a use was refused. Generated from `contracts/policy/reasons.json`.", ""]
    lines += _table("policy/reasons.json")
    lines += ["", "## Why an answer is left to people", ""]
    lines += ["Generated from `contracts/policy/negotiation-reasons.json`.", ""]
    lines += _table("policy/negotiation-reasons.json")
    lines += ["", "## Why a buyer's rule leaves an offer to people", ""]
    lines += ["Generated from `contracts/policy/acceptance-reasons.json`.", ""]
    lines += _table("policy/acceptance-reasons.json")
    lines += ["", "## Why a negotiation stands where it does", ""]
    lines += ["Generated from `contracts/negotiation/reasons.json`.", ""]
    lines += _table("negotiation/reasons.json")
    return "\n".join(lines) + "\n"


def _table(name: str) -> list[str]:
    rows = json.loads((ROOT / "contracts" / name).read_text())
    return [
        "| code | English | 中文 |",
        "|---|---|---|",
        *(f"| `{code}` | {row['en']} | {row['zh']} |" for code, row in rows.items()),
    ]


def main() -> None:
    if "--write" in sys.argv:
        for path, text in documents().items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return
    if found := differences():
        sys.exit(f"out of date: {', '.join(found)}; run `make generate` and look at the difference")


if __name__ == "__main__":
    main()
