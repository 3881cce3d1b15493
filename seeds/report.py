"""The story on the terminal: plain lines, a progress bar on long steps."""

from __future__ import annotations

import re
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from marketplace.kernel.money import Money
from seeds.stages import Progress as Watch


class Report:
    """Prints a telling chapter by chapter."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._bar: Progress | None = None

    def chapter(self, number: str, english: str, chinese: str) -> None:
        """A new chapter ends the bar of the one before."""
        self._end_bar()
        self._console.print(f"\n[bold]{number}  {english}[/bold] [dim]{chinese}[/dim]")

    def line(self, words: str) -> None:
        self._end_bar()
        self._console.print(f"   {words}", markup=False)

    def block(self, words: str) -> None:
        for line in words.splitlines():
            self.line(line)

    def bar(self, what: str) -> Watch:
        """A progress bar, shown once the returned function is told done and total: a story told again does little."""
        self._end_bar()
        columns = (TextColumn("   {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=self._console)
        self._bar.start()
        task = self._bar.add_task(what, total=None, visible=False)
        bar = self._bar

        def watch(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=True)

        return watch

    def collected(self, collected: dict[str, Any]) -> None:
        version = collected["version"]
        self.line(f"{version['files']:,} files accepted, {version['records']:,} studies, {version['bytes']:,} bytes")
        self._reasons("left out", collected["left_out"])

    def governed(self, governed: dict[str, Any], held_back: list[dict[str, Any]]) -> None:
        version = governed["version"]
        if version is not None:
            self.line(f"{version['files']:,} files de-identified by PS3.15 Annex E, {version['records']:,} studies")
        self._reasons("held back", held_back)

    def contract(self, agreement: dict[str, Any]) -> None:
        signatures = ", ".join(f"{one['alg']} {one['kid'][:12]}…" for one in agreement["signatures"])
        self.line(f"{agreement['id']} signed by both parties over {agreement['document'][:16]}…")
        self.line(f"signatures: {signatures}")

    def log_facts(self, bundle: dict[str, Any]) -> dict[str, Any]:
        """Size and root from the bundle's checkpoint (C2SP: origin, size, root), and whether it is cosigned."""
        lines = bundle["checkpoint"].splitlines()
        cosigned = len([line for line in lines if line.startswith("\u2014 ")]) > 1
        return {"size": int(lines[1]), "root": lines[2], "cosigned": cosigned}

    def costs(self, sheet: dict[str, Any], result: dict[str, Any]) -> None:
        for name, fen in sheet["stages"].items():
            self.line(f"{name:<12} {Money(fen)!s:>18}")
        self.line(f"{'total':<12} {Money(sheet['total_fen'])!s:>18}")
        for price, sales in sheet["break_even"].items():
            self.line(f"at {Money(int(price))!s:>16} a sale: {sales or 'never'} sales to break even")
        if (one := sheet["price_for"].get("1")) is not None:
            self.line(f"one sale alone would have to cost {Money(one)}")
        ledger = result["ledger"]
        self.line(f"books: {ledger['postings']} postings, imbalance {ledger['imbalance_fen']} fen")

    def closing(self, result: dict[str, Any]) -> None:
        self._end_bar()
        run, log = result["run"], result["log"]
        self._console.print(
            f"\n[bold]Done[/bold] in {run['seconds']} s, {run['max_rss_mib']} MiB at most. "
            f"Log of {log['size']} entries, cosigned: {log['cosigned']}, verified: {log['verified']}."
        )

    def _reasons(self, what: str, rows: list[dict[str, Any]]) -> None:
        counts: dict[str, int] = {}
        for row in rows:
            counts[row["reason"]] = counts.get(row["reason"], 0) + 1
        for reason, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])):
            self.line(f"{what}: {count} x {re.sub('_', ' ', reason)}")

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
