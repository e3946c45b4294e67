"""Every number in every format is that of the records, to the printed digit."""

from __future__ import annotations

import csv
import io
import json
import re
from statistics import mean

import pytest
from rich.console import Console

from sobench.compare import leaderboard
from sobench.compare.leaderboard import Leaderboard
from sobench.report.columns import shown_columns
from sobench.report.html.charts import PageRow
from sobench.report.html.tables import leaderboard_grid
from sobench.report.leaderboard import print_leaderboard
from sobench.report.leaderboard_latex import latex
from sobench.report.markdown import markdown
from sobench.report.values import as_json
from sobench.report.values import csv as as_csv
from sobench.report.view import View
from sobench.suite.plan import plan
from tests.records import COST, record_of, scored, states_of
from tests.tiny_suite import tiny_suite

NAMES = ("AP", "AP50", "AP75", "AP_S", "AP_M", "AP_L", "AR@1", "AR@10", "AR@100")
AWKWARD: dict[str, list[tuple[float | None, ...]]] = {
    "fpn": [(0.9995, 1.0, 0.0, None, 0.00049999, 0.1 + 0.2, 1 / 3, 0.0625, 0.99949999)],
    "ssd": [(0.0005, 0.0005, 1.0, float("nan"), 0.0005, 0.3, 2 / 3, 0.0635, 0.9995)],
    "pafpn": [(None, 1e-9, 0.5, 0.0, None, float("nan"), 0.0, 1.0, 0.12345)],
}
"""Row -> the metrics of each seed; those that are not named are undefined."""

GFLOPS = {"fpn": 0.005, "ssd": 1234567.895, "pafpn": None}
VIEW = View(wide=True)


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    runs = plan(tiny_suite(methods=list(AWKWARD), seeds=[0, 1]), "aaaa")
    # The second seed has the values of the first in another order.
    records = []
    for run in runs:
        (values,) = AWKWARD[run.entry.name]
        values = values if run.seed == 0 else values[::-1]
        metrics = dict(zip(NAMES, values, strict=True))
        cost = COST.model_copy(update={"gflops": GFLOPS[run.entry.name]})
        records.append(record_of(run, scored=scored(0.5, metrics=metrics), cost=cost))
    return leaderboard.build(runs, states_of(runs, records))


def expected(label: str, seed: int | None = None) -> dict[str, float | None]:
    """The numbers of a row, or of one run of it, worked out from ``AWKWARD`` alone."""
    (first,) = AWKWARD[label]
    by_seed = [dict(zip(NAMES, values, strict=True)) for values in (first, first[::-1])]
    found: dict[str, float | None] = {"gflops": GFLOPS[label]}
    for name in NAMES:
        values = [of[name] for of in (by_seed if seed is None else [by_seed[seed]])]
        defined = [value for value in values if value is not None and value == value]
        found[name] = mean(defined) if defined else None
    return found


def printed(value: float | None, name: str) -> str:
    return "-" if value is None else f"{value:.{2 if name == 'gflops' else 3}f}"


def as_terminal(board: Leaderboard, view: View) -> list[dict[str, str]]:
    """The rows of the table as cells by their headings."""
    target = io.StringIO()
    print_leaderboard(board, Console(file=target, width=1000, force_terminal=False), view)
    heading, *rows = target.getvalue().splitlines()[1:]
    names = re.split(r"  +", heading.strip())
    cells = []
    for row in rows[: rows.index("")]:
        row_cells = re.split(r" {2,}|(?<=[*+]) +", row.strip())
        cells.append(dict(zip(names, (c.rstrip("*+") for c in row_cells), strict=True)))
    return cells


def as_markdown(board: Leaderboard, view: View) -> list[dict[str, str]]:
    table = next(b for b in markdown(board, view).split("\n\n") if b.startswith("|"))
    heading, _, *rows = [[c.strip() for c in r.strip("|").split("|")] for r in table.splitlines()]
    return [dict(zip(heading, (c.strip("*") for c in row), strict=True)) for row in rows]


def as_tex(board: Leaderboard, view: View) -> list[dict[str, str]]:
    text = latex(board, view).replace("\\_", "_")
    body = text.split("\\toprule\n")[1].split("\\bottomrule")[0]
    rows = [r.removesuffix(" \\\\").split(" & ") for r in body.splitlines() if " & " in r]
    plain = [[re.sub(r"\\(textbf|underline)\{(.*)\}", r"\2", c) for c in row] for row in rows]
    return [dict(zip(plain[0], row, strict=True)) for row in plain[1:]]


def as_page(board: Leaderboard, _: View) -> list[dict[str, str]]:
    grid = leaderboard_grid(board, {label: PageRow(0, label) for label in AWKWARD})
    names = [column.text for column in grid.columns]
    return [
        {name: cell.text for name, cell in zip(names, row, strict=True) if name != "seeds"}
        for row in grid.rows
    ]


READERS = {"terminal": as_terminal, "md": as_markdown, "latex": as_tex, "html": as_page}


@pytest.mark.parametrize(
    ("format_", "by_seed"),
    [(name, by_seed) for name in READERS for by_seed in (False, True)][:-1],
)
def test_tables_for_people(board: Leaderboard, format_: str, by_seed: bool) -> None:
    view = View(
        columns=("method", *(["seed"] if by_seed else []), *NAMES, "gflops"), by_seed=by_seed
    )
    rows = READERS[format_](board, view)
    runs = [(label, seed) for label in AWKWARD for seed in ((0, 1) if by_seed else (None,))]
    assert sorted((r["method"], r.get("seed", "None")) for r in rows) == sorted(
        (label, str(seed)) for label, seed in runs
    )
    for row in rows:
        seed = int(row["seed"]) if by_seed else None
        for name, value in expected(row["method"], seed).items():
            title = "GFLOPs" if name == "gflops" else name
            assert row[title] == printed(value, name), (row["method"], name)


def test_files_have_all_digits(board: Leaderboard) -> None:
    content = json.loads(as_json(board))
    by_label = {row["method"]: row for row in content["rows"]}
    by_run = {(row["method"], row["seed"]): row for row in content["runs"]}
    table = {row["method"]: row for row in csv.DictReader(io.StringIO(as_csv(board)))}
    view = View(by_seed=True)
    runs = {
        (row["method"], int(row["seed"])): row
        for row in csv.DictReader(io.StringIO(as_csv(board, view)))
    }
    for label in AWKWARD:
        for name, value in expected(label).items():
            assert by_label[label][name] == value
            assert table[label][name] == ("" if value is None else repr(value))
        for seed in (0, 1):
            for name, value in expected(label, seed).items():
                assert by_run[label, seed][name] == value
                assert runs[label, seed][name] == ("" if value is None else repr(value))
    assert "NaN" not in as_json(board)


def test_one_format_rounds_as_all_do(board: Leaderboard) -> None:
    cells = {c.name: c.cells for c in shown_columns(board, VIEW)[0]}
    labels = list(cells["method"])
    assert cells["AP50"][labels.index("fpn")] == printed((1.0 + 0.0625) / 2, "AP50")
    assert printed(0.9995, "AP") == "1.000"
    assert printed(0.99949999, "AP") == "0.999"
