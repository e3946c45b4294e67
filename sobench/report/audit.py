"""An audit on a terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sobench.compare.audit import SIZES, Audit, AuditRow
from sobench.compare.cautions import named
from sobench.compare.deviations import with_one_reason
from sobench.compare.pinned import pinned
from sobench.report.letters import labels_by_text, letter, letters
from sobench.report.markup import as_markdown, pipes
from sobench.report.terminal import print_table

_NOTE = (
    "anchors: of an image; px: side of the smallest of them in the input. met: share of the "
    "training objects with an anchor of IoU .5 or more, all of them and by side in the input. "
    "M: parameters. epochs: of all trainings that the row takes. own: see the letters."
)
_NAMED = 3


def columns(audit: Audit) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of the table; letters stand for what a row does otherwise."""
    texts = list(legend(audit))
    known = [name for name in ("all", *SIZES) if any(name in row.coverage for row in audit.rows)]
    met = [name.removesuffix(" px").replace("all", "met") for name in known]
    headings = ["method", "anchors", "px", *met, "M", "GFLOPs", "epochs", "own"]
    cells = [
        [
            row.label,
            "-" if row.anchors is None else str(row.anchors),
            "-" if row.smallest is None else f"{row.smallest:.0f}",
            *(f"{row.coverage[name]:.2f}" if name in row.coverage else "-" for name in known),
            "-" if row.parameters is None else f"{row.parameters / 1e6:.1f}",
            "-" if row.gflops is None else f"{row.gflops:.1f}",
            str(row.epochs),
            letters([texts.index(text) for text in told(row)]),
        ]
        for row in audit.rows
    ]
    return headings, cells


def told(row: AuditRow) -> tuple[str, ...]:
    """What a row does otherwise: its deviations, and the trainings that it builds on."""
    texts = with_one_reason(row.run.deviations, row.run.entry.reason)
    needed = [f"needs its {t.name}: {t.epochs} epochs" for t in row.trainings if not t.is_own]
    return tuple(dict.fromkeys((*texts, *needed)))


def legend(audit: Audit) -> dict[str, list[str]]:
    """Everything that some row does otherwise, once, with the labels of those rows."""
    return labels_by_text({row.label: told(row) for row in audit.rows})


def _heading(audit: Audit) -> str:
    return f"{audit.suite.title or audit.suite.name}: the same for every row"


def _pinned(audit: Audit) -> dict[str, str]:
    return pinned(audit.suite, audit.images, audit.num_classes, audit.ignored)


def _verdict(audit: Audit) -> str:
    own, number = sum(bool(told(row) or row.undeclared) for row in audit.rows), len(audit.cautions)
    declared = "not all of it declared" if audit.undeclared else "all of it declared"
    what = f"{own} of {len(audit.rows)} rows do something otherwise, {declared}"
    return f"{what if own else 'no row does anything otherwise'}; {number or 'no'} " + (
        "warning" if number == 1 else "warnings"
    )


def _remarks(audit: Audit) -> list[tuple[str, str]]:
    """Kind and text of the lines beneath the table."""
    return [
        *(("partial", text) for text in audit.partial),
        *(("not audited", text) for text in audit.unchecked),
        *(("warning", text) for text in audit.cautions),
        *(("undeclared", text) for text in audit.undeclared),
    ]


def print_audit(audit: Audit, console: Console) -> None:
    """What is pinned, the table of the rows, what they do otherwise, and the warnings."""
    console.print(Text(_heading(audit), style="italic"), soft_wrap=True)
    console.print(_grid([(topic, text) for topic, text in _pinned(audit).items()]))
    console.print()
    print_table(console, *columns(audit))
    console.print(Text(_NOTE, style="dim"))
    console.print()
    lines = [
        (letter(number), Text.assemble(text, (f"  {named(labels, _NAMED)}", "dim")))
        for number, (text, labels) in enumerate(legend(audit).items())
    ]
    if lines:
        console.print(_grid(lines))
        console.print()
    colours = {"undeclared": "red"}
    for kind, text in _remarks(audit):
        console.print(_grid([(f"{kind}:", text)], colours.get(kind, "yellow")))
    console.print(Text(_verdict(audit)), soft_wrap=True)


def _grid(lines: Sequence[tuple[str, str | Text]], style: str = "") -> Table:
    """Words and texts, in which a long text goes on beneath its beginning."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column()
    for word, text in lines:
        whole = text if isinstance(text, Text) else Text(text, style=style)
        grid.add_row(Text(word, style=style), whole)
    return grid


def markdown(audit: Audit) -> str:
    """The same as Markdown."""
    blocks = [
        f"## {as_markdown(_heading(audit))}",
        _list([f"{topic}: {text}" for topic, text in _pinned(audit).items()]),
        pipes(*columns(audit)),
        as_markdown(_NOTE),
        _list([
            f"{letter(number)}: {text} ({named(labels, _NAMED)})"
            for number, (text, labels) in enumerate(legend(audit).items())
        ]),
        _list([f"{kind}: {text}" for kind, text in _remarks(audit)]),
        as_markdown(_verdict(audit)),
    ]  # fmt: skip
    return "\n\n".join(filter(None, blocks)) + "\n"


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {as_markdown(line)}" for line in lines)


def as_json(audit: Audit) -> str:
    """All that the audit found, with ``null`` for what is not known."""
    content = {
        "title": audit.suite.title or audit.suite.name,
        "pinned": _pinned(audit),
        "images": audit.images,
        "classes": audit.num_classes,
        "rows": [
            {
                "method": row.label,
                "head": row.head,
                "anchors": row.anchors,
                "smallest_anchor_px": row.smallest,
                "finest_stride_px": row.stride,
                "coverage": dict(row.coverage),
                "parameters": row.parameters,
                "gflops": row.gflops,
                "epochs": row.epochs,
                "trainings": [
                    {"name": t.name, "epochs": t.epochs, "own": t.is_own} for t in row.trainings
                ],
                "deviations": row.run.deviations,
                "undeclared": row.undeclared,
            }
            for row in audit.rows
        ],
        "partial": audit.partial,
        "not_audited": audit.unchecked,
        "warnings": audit.cautions,
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


FORMATS: dict[str, Callable[[Audit], str]] = {"md": markdown, "json": as_json}
