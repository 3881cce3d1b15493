"""Ways to spoil a good compact JWT, the same for every kind of token: each must be refused at every door (T19)."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from marketplace.kernel.signing import generate_key
from tests.participants.small_market import b64, bare, compact, hmac_signer

Json = dict[str, Any]
ALGORITHMS = (
    "none", "None", "NONE", "nOnE", "", " ", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384",
    "PS512", "ES256K", "ES384", "ES512", "Ed448", "ed25519", "eddsa", "EDDSA", "EdDSA ", "EdDSA\u0000", "ES256\n",
    "EdDSA", "ES256", "A256GCM", "dir", "RSA-OAEP", None, 0, 1, True, [], ["EdDSA"], {}, {"alg": "EdDSA"}, 256,
)  # fmt: skip
STRANGE_HEADERS: tuple[Json, ...] = (
    {"jku": "https://evil.example/keys"},
    {"x5u": "https://evil.example/chain"},
    {"x5c": ["MIIB"]},
    {"x5t": "AAAA"},
    {"x5t#S256": "AAAA"},
    {"crit": ["exp"]},
    {"crit": []},
    {"crit": ["b64"], "b64": False},
    {"b64": False},
    {"zip": "DEF"},
    {"cty": "JWT"},
    {"enc": "A256GCM"},
    {"epk": {}},
    {"p2c": 2**31},
    {"apu": "AAAA"},
    {"iv": "AAAA", "tag": "AAAA"},
    {"url": "https://evil.example"},
    {"nonce": "x"},
    {"Alg": "none"},
    {"ALG": "none"},
    {"": "x"},
    {"__proto__": {"alg": "none"}},
)
STRANGE_TYPES = ("at+JWT+x", "agreement+jws", "opinion+jws", "JOSE", "", 0, None, ["JWT"], {"JWT": 1}, "secevent+jwt")
STRANGE_KIDS = (
    "", "../../../../dev/null", "/etc/passwd", "file:///etc/passwd", "' OR '1'='1", "1; DROP TABLE participant_key",
    "x\u0000y", "\ud800", "k" * 5000, "https://evil.example/k", "%00", "${jndi:ldap://evil.example}", "{{7*7}}", 0, -1,
    True, None, [], ["a"], {}, {"$ne": None}, "🗝", "\u202e", "a\r\nb",
)  # fmt: skip
STRANGE_TIMES = (-1, 0, 2**31, 2**53, 2**63, 1e10, 1.5, "1", "", None, True, [], {}, "9999-12-31T23:59:59Z")


@dataclass(frozen=True)
class Good:
    """A token that would be accepted: header, claims, how it is signed, and which claims hold moments."""

    header: Json
    claims: Json
    sign: Callable[[bytes], bytes]
    public: Json
    moments: tuple[str, ...]
    texts: tuple[str, ...]

    def token(self, header: Json | bytes | None = None, claims: Json | bytes | None = None) -> str:
        return compact(self.header if header is None else header, self.claims if claims is None else claims, self.sign)


def spoiled(good: Good) -> Iterator[tuple[str, str]]:
    """(what was done to it, the token); each is signed by the right key unless that is the point."""
    yield from _headers(good)
    yield from _claims(good)
    yield from _bytes(good)
    yield from _other_keys(good)


def _headers(good: Good) -> Iterator[tuple[str, str]]:
    for alg in ALGORITHMS:
        if alg != good.header["alg"]:
            yield f"alg {alg!r}", good.token(good.header | {"alg": alg})
    for strange in STRANGE_HEADERS:
        yield f"header {strange}", good.token(good.header | strange)
    for typ in STRANGE_TYPES:
        if typ != good.header.get("typ"):
            yield f"typ {typ!r}", good.token(good.header | {"typ": typ if typ is not None else 1.5})
    if "kid" in good.header:
        for kid in STRANGE_KIDS:
            yield f"kid {str(kid)[:40]!r}", good.token(good.header | {"kid": kid})
    text = json.dumps(good.header)
    for name, raw in {
        "header is a list": "[]",
        "header is text": '"x"',
        "header is empty": "{}",
        "alg twice": text[:-1] + ', "alg": "none"}',
        "alg twice, escaped": '{"\\u0061lg": "none", ' + text[1:],
        "header with NaN": text[:-1] + ', "x": NaN}',
        "header with a tail": text + "{}",
        "header with a comment": text[:-1] + "/* */}",
        "header in single quotes": text.replace('"', "'"),
    }.items():
        yield name, good.token(raw.encode())
    yield "header in UTF-16", good.token(text.encode("utf-16"))
    yield "header with a mark", good.token(b"\xef\xbb\xbf" + text.encode())
    yield "header not UTF-8", good.token(text.encode()[:-1] + b', "x": "\xff"}')


def _claims(good: Good) -> Iterator[tuple[str, str]]:
    for name in good.moments:
        for value in STRANGE_TIMES:
            yield f"{name} {value!r}", good.token(claims=good.claims | {name: value})
    for name in good.texts:
        for value in (
            "",
            "\u0000",
            "\ud800",
            "x" * 300,
            0,
            True,
            None,
            [good.claims[name]],
            {},
            str(good.claims[name]) + " ",
        ):
            yield f"{name} {str(value)[:30]!r}", good.token(claims=good.claims | {name: value})
        rest = {key: value for key, value in good.claims.items() if key != name}
        yield f"no {name}", good.token(claims=rest)
    text = json.dumps(good.claims)
    for name, raw in {
        "claims are a list": f"[{text}]",
        "claims are null": "null",
        "claim twice": text[:-1] + f', "{good.texts[0]}": "x"}}',
        "claims with NaN": text[:-1] + ', "x": NaN}',
        "claims with Infinity": text[:-1] + ', "x": -Infinity}',
        "claims with a float": text[:-1] + ', "x": 0.5}',
        "claims with 2^53": text[:-1] + ', "x": 9007199254740993}',
        "claims with half a pair": text[:-1] + ', "x": "\\ud800"}',
        "claims nested deeply": text[:-1] + ', "x": ' + "[" * 33 + "]" * 33 + "}",
        "claims nested very deeply": text[:-1] + ', "x": ' + "[" * 2500 + "]" * 2500 + "}",
        "claims with a tail": text + " x",
        "claims cut off": text[:-2],
    }.items():
        yield name, good.token(claims=raw.encode())
    yield "claims in UTF-16", good.token(claims=text.encode("utf-16-le"))
    yield "claims in UTF-32", good.token(claims=text.encode("utf-32"))


def _bytes(good: Good) -> Iterator[tuple[str, str]]:
    token = good.token()
    header, claims, signature = token.split(".")
    dice = random.Random(token)
    for at in sorted(dice.sample(range(len(signature)), 8)):
        yield f"signature changed at {at}", f"{header}.{claims}.{_flip(signature, at)}"
    for at in sorted(dice.sample(range(len(claims)), 8)):
        yield f"claims changed at {at}", f"{header}.{_flip(claims, at)}.{signature}"
    yield from {
        "no signature": f"{header}.{claims}.",
        "two parts": f"{header}.{claims}",
        "five parts": f"{header}.{claims}.{signature}.{claims}.{signature}",
        "parts swapped": f"{claims}.{header}.{signature}",
        "signature twice": f"{header}.{claims}.{signature}{signature}",
        "signature cut": f"{header}.{claims}.{signature[:-4]}",
        "signature halved": f"{header}.{claims}.{signature[: len(signature) // 8 * 4]}",
        "signature of zeros": f"{header}.{claims}.{b64(bytes(64))}",
        "signature of r = 0": f"{header}.{claims}.{b64(bytes(32) + b'1' * 32)}",
        "short signature": f"{header}.{claims}.{b64(b'x')}",
        "DER signature": f"{header}.{claims}.{b64(bytes.fromhex('3006020101020101'))}",
        "padded": token + "==",
        "standard alphabet": f"{header}.{claims}.{signature[:-2]}+/",
        "leading space": " " + token,
        "inner space": f"{header}. {claims}.{signature}",
        "leading dot": "." + token,
        "percent": token.replace(".", "%2e"),
        "JSON form": json.dumps({"protected": header, "payload": claims, "signature": signature}),
        "wide dots": token.replace(".", "．"),
        "very long": token + "A" * 10_000,
    }.items()


def _other_keys(good: Good) -> Iterator[tuple[str, str]]:
    mine = generate_key()
    from tests.participants.small_market import signer

    for name, header in {
        "signed by another": good.header,
        "signed by another that it carries": good.header | {"jwk": bare(mine)},
        "signed by another with its kid": good.header | ({"kid": mine.kid} if "kid" in good.header else {"x": 1}),
    }.items():
        yield name, compact(header, good.claims, signer(mine, "EdDSA"))
    for name, secret in {
        "the public JWK as a secret": json.dumps(good.public).encode(),
        "the public x as a secret": base64.urlsafe_b64decode(good.public["x"] + "=="),
        "an empty secret": b"",
    }.items():
        for alg in ("HS256", good.header["alg"]):
            yield f"HMAC with {name}, alg {alg}", compact(good.header | {"alg": alg}, good.claims, hmac_signer(secret))


def _flip(text: str, at: int) -> str:
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
