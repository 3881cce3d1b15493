"""Invented people: names, checksum-valid identity numbers, telephones; the same seed gives the same people.

The region code 999999 and the telephone prefix 1990000 are assigned to nobody, so no real person can be meant.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

_SURNAMES = (
    ("王", "Wang"), ("李", "Li"), ("张", "Zhang"), ("刘", "Liu"), ("陈", "Chen"), ("杨", "Yang"), ("赵", "Zhao"),
    ("黄", "Huang"), ("周", "Zhou"), ("吴", "Wu"), ("徐", "Xu"), ("孙", "Sun"), ("胡", "Hu"), ("朱", "Zhu"),
    ("高", "Gao"), ("林", "Lin"), ("何", "He"), ("郭", "Guo"), ("马", "Ma"), ("欧阳", "Ouyang"),
)  # fmt: skip
_GIVEN = (
    ("明", "Ming"), ("芳", "Fang"), ("伟", "Wei"), ("娜", "Na"), ("敏", "Min"), ("静", "Jing"), ("丽", "Li"),
    ("强", "Qiang"), ("磊", "Lei"), ("军", "Jun"), ("洋", "Yang"), ("勇", "Yong"), ("艳", "Yan"), ("杰", "Jie"),
    ("娟", "Juan"), ("涛", "Tao"), ("超", "Chao"), ("秀", "Xiu"), ("霞", "Xia"), ("平", "Ping"), ("刚", "Gang"),
    ("桂", "Gui"), ("英", "Ying"), ("华", "Hua"), ("玉", "Yu"), ("兰", "Lan"), ("建", "Jian"), ("国", "Guo"),
)  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """An invented person.  birth: YYYYMMDD; sex: M or F; number: 18 characters with GB 11643 check character."""

    chinese: str
    latin: str
    sex: str
    birth: str
    number: str
    phone: str
    address: str
    record: str

    @property
    def strings(self) -> list[str]:
        """Everything that must not be found in what is served."""
        return [self.chinese, self.latin.replace("^", " "), self.number, self.phone, self.address, self.record]


def identity(dice: random.Random, ordinal: int) -> Identity:
    """The next person; ordinal: makes the record number unique."""
    (surname, latin_surname), first, second = dice.choice(_SURNAMES), dice.choice(_GIVEN), dice.choice(_GIVEN)
    birth = f"{dice.randint(1936, 1999)}{dice.randint(1, 12):02d}{dice.randint(1, 28):02d}"
    male = dice.random() < 0.5
    order = dice.randint(0, 499) * 2 + male
    return Identity(
        chinese=surname + first[0] + second[0],
        latin=f"{latin_surname}^{first[1]}{second[1].lower()}",
        sex="M" if male else "F",
        birth=birth,
        number=identity_number(f"999999{birth}{order:03d}"),
        phone=f"1990000{dice.randint(0, 9999):04d}",
        address=f"示例市虚构区无名路{dice.randint(1, 999)}号{dice.randint(1, 30)}幢",
        record=f"ZY{ordinal:07d}",
    )


def identity_number(body: str) -> str:
    """Complete 17 digits of an identity number with the GB 11643-1999 (ISO 7064 MOD 11-2) check character."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True)) % 11]
