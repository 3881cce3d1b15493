"""The cast: invented organisations, one for each role.  Names and codes are examples; the checksums are real."""

from __future__ import annotations

from dataclasses import dataclass, field

from marketplace.kernel.actor import Role


@dataclass(frozen=True)
class Part:
    """An invented organisation.  credit_code: valid by GB 32100 checksum, in the unassigned region 999999."""

    name: str
    legal_name: str
    legal_name_en: str
    kind: str
    roles: tuple[Role, ...]
    algorithm: str = "EdDSA"
    licence_number: str | None = None
    number: int = field(default=0)

    @property
    def credit_code(self) -> str:
        return credit_code(f"91999999{self.number:09d}")


def credit_code(body: str) -> str:
    """Complete 17 characters of a unified social credit code with the GB 32100-2015 check character."""
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    total = sum(alphabet.index(char) * pow(3, place, 31) for place, char in enumerate(body))
    return body + alphabet[(31 - total % 31) % 31]


CAST: tuple[Part, ...] = (
    Part("operator", "示例数据空间运营有限公司", "Example Data Space Operations Ltd", "operator",
         (Role.PLATFORM_OPERATOR,), number=1),
    Part("hospital", "示例市第一人民医院", "Example City First People's Hospital", "hospital",
         (Role.PROVIDER,), number=2),
    Part("law_firm", "示例明理律师事务所", "Example Mingli Law Firm", "law_firm", (Role.LAW_FIRM,),
         licence_number="EX-31110000-2026", number=3),
    Part("registrar", "示例数据产权登记中心", "Example Data Property Registration Centre", "registrar",
         (Role.REGISTRAR,), algorithm="ES256", number=4),
    Part("exchange", "示例数据交易所有限公司", "Example Data Exchange Ltd", "exchange_operator",
         (Role.EXCHANGE_OPERATOR,), number=5),
    Part("pharma", "示例康源制药股份有限公司", "Example Kangyuan Pharma Co", "pharma", (Role.BUYER,),
         algorithm="ES256", number=6),
    Part("ai_company", "示例深影智能科技有限公司", "Example Deepview AI Ltd", "ai_company", (Role.BUYER,), number=7),
    Part("insurer", "示例安心健康保险公司", "Example Anxin Health Insurance Co", "insurer", (Role.BUYER,), number=8),
    Part("institute", "示例临床医学研究院", "Example Institute of Clinical Research", "research_institute",
         (Role.BUYER,), number=9),
    Part("auditor", "示例独立审计事务所", "Example Independent Audit Office", "auditor", (Role.AUDITOR,), number=10),
)  # fmt: skip

BY_NAME = {part.name: part for part in CAST}
