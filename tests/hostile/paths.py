"""Names that try to lead elsewhere (T29): climbing, absolute, encoded, of other systems, odd in length or alphabet."""

from __future__ import annotations

from collections.abc import Iterator

CANARY = "canary-4711.txt"
_TARGETS = (CANARY, "market.sqlite3", "service-key.pem", "etc/passwd")
_UP = (
    "../", "..\\", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "%252e%252e%252f", "....//", "..;/", "..%c0%af", "．．／",
    "..∕", ".\u200b./", "%uff0e%uff0e/",
)  # fmt: skip
_WHOLE = (
    "", " ", ".", "..", "...", "/", "//", "\\", "~", "~root", "-", "--", "*", "?", "[", "$HOME", "$(id)", "`id`",
    "|id", ";id", "&&id", "con", "CON.txt", "nul", "aux", "com1", "lpt1.dcm", "a:b", "C:", "C:\\", "\\\\evil\\share",
    "\\\\?\\C:\\", "file:///etc/passwd", "http://127.0.0.1/", "data:,x", "a\u0000b", "\u0000", "a\u0000.dcm",
    "a\u000ab", "a\u000d\u000ab", "a\u0009b", "a\u007fb", "a\u0085b", "a\u2028b", "\u202etxt.exe", "\ufeffa", "é",
    "é", "ｆｕｌｌ", "ﬀ", "İ", "ı", "ß", "K", "a" * 256, "a" * 5000, "a/" * 2000, "a" + "/b" * 500, "目录/文件", "🗝",
    "\ud800", "\udfff", ".git/config", ".env", "a.dcm/", "a.dcm/.", "a.dcm/..", "./a.dcm", "a//b", "a/./b", "a/../b",
    " a", "a ", "a.", "A.DCM", "a.dcm::$DATA", "a~1", "%00", "%", "%zz", "%2", "proc/self/environ", "dev/null",
    "dev/zero", "proc/self/fd/0", "${a}", "{{7*7}}", "<script>", "'", "\"", "a'--", "a;b", "a,b",
)  # fmt: skip


def corpus() -> Iterator[str]:
    """Every name, without repetition."""
    seen: set[str] = set()
    for name in (*_WHOLE, *_climbing()):
        if name not in seen:
            seen.add(name)
            yield name


def _climbing() -> Iterator[str]:
    for target in _TARGETS:
        for up in _UP:
            for depth in (1, 3, 12):
                yield up * depth + target
        yield f"/{target}"
        yield f"//{target}"
        yield f"a/../../{target}"
        yield f"1.2.3.10000/../../{target}"
        yield f"x001/../{target}"
        yield f"\\{target}"
        yield f"C:/{target}"
        yield f"/proc/self/cwd/{target}"
        yield f"{target}\u0000.dcm"
        yield f"ab/{target}"
