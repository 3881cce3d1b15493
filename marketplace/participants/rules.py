"""What makes an organisation admissible and a key usable: pure judgement, no session and no clock."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from functools import lru_cache

from marketplace.kernel.actor import Role
from marketplace.kernel.errors import Invalid
from marketplace.kernel.signing import BadKey, Jwk, require_public_jwk

CREDIT_CODE_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
CREDIT_CODE_LENGTH = 18
# Of Ed25519 (RFC 8037) and P-256 (RFC 7518 section 6.2.1) alike.
COORDINATE_OCTETS = 32

# The only roles that one organisation may hold together; every other role must be free of the others' interests.
COMBINABLE = frozenset({Role.PROVIDER, Role.BUYER})

_FIELD_PRIME = 2**255 - 19
# y coordinates of the eight points of small order on edwards25519: with such a key one signature fits many documents.
_SMALL_ORDER_Y = frozenset(
    {
        0,
        1,
        _FIELD_PRIME - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
    }
)


class InvalidCreditCode(Invalid):
    """The unified social credit code is not a valid one."""


class RolesDoNotMix(Invalid):
    """One organisation may not hold these roles together."""


class WeakKey(Invalid):
    """The key has a second spelling or fits more than one signer."""


def credit_code_check(body: str) -> str:
    """The check character of the first 17 characters of a code (GB 32100-2015, weights 3^i modulo 31)."""
    total = sum(CREDIT_CODE_ALPHABET.index(char) * pow(3, place, 31) for place, char in enumerate(body))
    return CREDIT_CODE_ALPHABET[(31 - total % 31) % 31]


def require_credit_code(code: str) -> str:
    """Return the code if it is a valid unified social credit code.  Raises InvalidCreditCode."""
    if len(code) != CREDIT_CODE_LENGTH:
        raise InvalidCreditCode(
            "the credit code has the wrong length", expected=f"{CREDIT_CODE_LENGTH} characters", got=str(len(code))
        )
    strangers = sorted(set(code) - set(CREDIT_CODE_ALPHABET))
    if strangers:
        raise InvalidCreditCode(
            "the credit code holds characters that GB 32100 does not use",
            expected="digits and capital letters without I, O, S, V, Z",
            got=" ".join(strangers),
        )
    check = credit_code_check(code[:-1])
    if code[-1] != check:
        raise InvalidCreditCode(
            "the check character of the credit code is wrong",
            expected=f"{code[:-1]}{check}",
            got=code,
            action="copy the code from the business licence again",
        )
    return code


def require_roles(roles: Collection[Role]) -> list[Role]:
    """Return the roles without repetition, in the order of `Role`, if one organisation may hold them all.

    Provider and buyer go together.  Law firm, registrar, exchange operator, auditor and platform operator each stand
    alone: the assessor may not be a party, and who certifies may not be who lists.  Raises RolesDoNotMix.
    """
    distinct = [role for role in Role if role in roles]
    if len(distinct) > 1 and not set(distinct) <= COMBINABLE:
        raise RolesDoNotMix(
            "these roles must be held by different organisations",
            expected="one role, or provider and buyer together",
            got=", ".join(distinct),
            action="admit a separate organisation for the other role",
        )
    return distinct


def require_strong_key(jwk: Jwk) -> Jwk:
    """Return a public key reduced to its public members, with one possible spelling and one possible owner.

    Raises BadKey, or WeakKey: a coordinate with a second base64url spelling would give the same key a second id, so a
    revoked key could come back; a point of small order accepts signatures made without any private key.
    """
    members = {name: value for name, value in jwk.items() if isinstance(value, str)}
    return dict(_judged(tuple(sorted(members.items())))) if len(members) == len(jwk) else _require_strong(jwk)


@lru_cache(maxsize=1024)
def _judged(members: tuple[tuple[str, str], ...]) -> Jwk:
    """A client proves itself with the same key again and again."""
    return _require_strong(dict(members))


def _require_strong(jwk: Jwk) -> Jwk:
    public = require_public_jwk(jwk)
    for name in ("x", "y"):
        if name in public:
            _require_one_spelling(name, public[name])
    if public["kty"] == "OKP":
        point = int.from_bytes(_decode(public["x"]), "little") & (1 << 255) - 1
        if point % _FIELD_PRIME in _SMALL_ORDER_Y or point >= _FIELD_PRIME:
            raise WeakKey("this Ed25519 point is no one's key", action="generate a fresh key pair")
    return public


def _require_one_spelling(name: str, text: str) -> None:
    octets = _decode(text)
    canonical = base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
    if text != canonical or len(octets) != COORDINATE_OCTETS:
        raise WeakKey(
            f"key member `{name}` has more than one spelling",
            expected="base64url of 32 octets without padding",
            got=text[:64],
        )


def _decode(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise BadKey("key member is not base64url") from error
