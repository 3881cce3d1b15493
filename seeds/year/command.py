"""`marketplace year`: tell the year, write its result beside the data folder, show it."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from seeds.year.plots import SHORT, YEAR
from seeds.year.summary import show
from seeds.year.telling import tell_year


def tell(data: Path, file: Path, *, short: bool = False) -> None:
    """Tell a year with a progress bar; the result goes to the file, journals and director's page into `<file>-books`.

    Raises ToldBefore, WorkGivenUp.
    """
    console = Console(highlight=False, soft_wrap=True)
    with Progress(console=console) as bar:
        task = bar.add_task("the year passes", total=None)
        found = tell_year(
            data,
            SHORT if short else YEAR,
            scans=data.parent / "year-scans",
            journals=file.parent / f"{file.stem}-books",
            watch=lambda done, total: bar.update(task, completed=done, total=total),
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, ensure_ascii=False, indent=2) + "\n")
    show(found, console)
    console.print(f"Result       {file}\nPages        {', '.join(str(file.parent / one) for one in found['pages'])}")
