"""Hostile packages that bring methods: the rows that name them fail, everything else works."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

import yaml

from sobench.suite import methods as rows
from tests.campaigns.counts import Counts
from tests.campaigns.fuzz import Case, Fuzz, run
from tests.campaigns.fuzz_detections import finished
from tests.campaigns.guard import Result, Step
from tests.campaigns.matrix import SUITE
from tests.campaigns.thin import make_thin

NAME = "fuzz_plugins"
PACKAGE = "my-package"
_NOISE = "PRINTED"
_ROW = """\
import sys
print("PRINTED")
print("PRINTED", file=sys.stderr)
from sobench.suite.methods import Method, Need, Switch, When
METHOD = Method(title="T", paper="P", heads=("retinanet",))
"""
_MODEL = """\
from sobench.models.methods.fpn.model import build as build_fpn
def build(backbone, config, switches):
    return build_fpn(backbone, config, {"fuse": True, "first_level": 3})
"""

ERRORS = {
    "an exception": "raise ValueError('why')",
    "an exception of escapes": "raise ValueError('\\x1b[2J\\r\\x9b31m')",
    "an exception of many lines": "raise ValueError('x\\n' * 500)",
    "a long exception": "raise ValueError('x' * 100_000)",
    "an exception without text": "raise ValueError",
    "a BaseException": "raise BaseException('why')",
    "its own BaseException": "class Odd(BaseException): pass\nraise Odd('why')",
    "GeneratorExit": "raise GeneratorExit",
    "StopIteration": "raise StopIteration",
    "sys.exit(0)": "import sys; sys.exit(0)",
    "sys.exit(3)": "import sys; sys.exit(3)",
    "sys.exit of a text": "import sys; sys.exit('x\\x1b[2J')",
    "an exception whose text raises": (
        "class Odd(Exception):\n    def __str__(self): raise RuntimeError('no')\n"
        "    __repr__ = __str__\nraise Odd"
    ),
    "an exception whose text exits": (
        "class Odd(Exception):\n    def __str__(self): raise SystemExit(0)\nraise Odd"
    ),
    "an exception whose text is none": (
        "class Odd(Exception):\n    def __str__(self): return 5\nraise Odd"
    ),
    "a group": "raise ExceptionGroup('why', [ValueError('a'), TypeError('b')])",
    "RecursionError": "def f(): return f()\nf()",
    "MemoryError": "raise MemoryError",
    "KeyError": "{}['x']",
    "TypeError": "None + 1",
    "AttributeError": "None.x",
    "AssertionError": "assert False",
    "SyntaxError": "def",
    "ImportError": "import no_such_module",
    "NUL": "x = '\\0'\nraise OSError(2, 'a\\0b', 'c\\0d')",
    "UnicodeEncodeError": "'\\ud800'.encode()",
    "a surrogate": "raise ValueError('\\ud800')",
    "click's exception": "import click; raise click.UsageError('why')",
    "sobench's exception": "from sobench.errors import DataError; raise DataError('why')",
    "BrokenPipeError": "raise BrokenPipeError",
    "a warning": "import warnings; warnings.simplefilter('error'); warnings.warn('why')",
}  # fmt: skip
"""What is raised -> the code."""
LEAVING = {
    "os._exit(0)": "import os; os._exit(0)",
    "a signal": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "an endless loop": "while True: pass",
    "a closed stdout": "import os; os.close(1)",
}
"""Code that no process survives, or that leaves it crippled."""
_PLACES = ("row", "model", "build")
_FIELDS = (
    "title",
    "paper",
    "heads",
    "switches",
    "deviations",
    "needs",
    "rules",
    "source",
    "package",
)
_VALUES = (
    "None",
    "1",
    "-1.5",
    "True",
    "''",
    "'x'",
    "'\\x1b[2J'",
    "'[/x]'",
    "'x' * 100_000",
    "b'x'",
    "()",
    "(1,)",
    "('x',)",
    "(None,)",
    "[]",
    "['retinanet']",
    "{}",
    "{1: 2}",
    "{'a': None}",
    "object()",
    "lambda *_: 1",
    "(lambda *_: 1,)",
    "(lambda *_: None,)",
    "(lambda: '',)",
    "float('nan')",
    "type('O', (), {'__repr__': lambda s: 1 / 0, '__str__': lambda s: 1 / 0})()",
    "type('O', (), {'__eq__': lambda s, o: 1 / 0, '__hash__': lambda s: 1 / 0})()",
    "type('O', (), {'__bool__': lambda s: 1 / 0, '__len__': lambda s: 1 / 0})()",
    "{'a': Switch(1, (1, 2), 'm')}",
    "{'a': Switch(None, (None,), 'm')}",
    "{'a': Switch([], ([],), 'm')}",
    "{'a': Switch(1, (2,), 'm')}",
    "{'a': Switch(1, None, 'm')}",
    "{'a': Switch(1, 5, 'm')}",
    "{'a': Switch(1, (1,), None)}",
    "{'a': Switch(1, (1,), 'm', None)}",
    "{'a': Switch(1, (1,), 'm', {'b': 1})}",
    "{'a': Switch(1, (1,), 'm', {}, 5)}",
    "{'a': Switch(1, (1,), 'm', {}, 'nohead')}",
    "{'name': Switch(1, (1,), 'm')}",
    "{'label': Switch(1, (1,), 'm')}",
    "{'\\x1b[2J': Switch(1, (1,), 'm')}",
    "{5: Switch(1, (1,), 'm')}",
    "{'a': Switch(float('nan'), (float('nan'),), 'm')}",
    "{'a': Switch('x\\n', ('x\\n',), '\\x1b[2J')}",
    "(Need('r', 'fpn'),)",
    "(Need('r', 'nothing'),)",
    "(Need(None, 'fpn'),)",
    "(Need('r', None),)",
    "(Need('r', 'fpn', 0),)",
    "(Need('r', 'fpn', 'x'),)",
    "(Need('r', 'fpn', 10**6),)",
    "(Need('r', 'fpn', 1, None),)",
    "(Need('r', 'fpn', 1, {'zz': 1}),)",
    "(Need('init_from', 'fpn'),)",
    "(Need('r', 'my_neck'),)",
    "(Need('r', 'efpn'),)",
    "(When('x'),)",
    "(When(None),)",
    "(When(5, None),)",
    "(When('x', {'a': 1}, 5, 5),)",
    "('x\\x1b[2J',)",
    "('x' * 50_000,)",
    "('a',) * 3000",
)
"""Python for a field of the row."""
_OBJECTS = (
    "None",
    "1",
    "Method",
    "object()",
    "Method",
    "lambda: 0",
    "[Method]",
    "'METHOD'",
    "__import__('os')",
)


def campaign(seed: int, seconds: float, folder: Path) -> Counts:
    """Fuzz packages until the time is over."""
    return run(FUZZ, seed, seconds, folder)


def draw(random: Random) -> Case:
    """A package with an error somewhere, or with wrong fields in its row."""
    kind = random.random()
    if kind < 0.35:
        place, name = random.choice(_PLACES), random.choice(list(ERRORS))
        return case_of_error(place, name, ERRORS[name], runs=random.random() < 0.15)
    if kind < 0.4:
        name = random.choice([name for name in LEAVING if "loop" not in name])
        return case_of_leaving(name, LEAVING[name])
    if kind < 0.45:
        what = random.choice(_OBJECTS)
        return case_of_row(f"METHOD = {what}", f"{_ROW}METHOD = {what}\n")
    fields = {
        key: random.choice(_VALUES) for key in random.sample(_FIELDS, random.choice((1, 1, 2)))
    }
    return case_of_fields(fields, runs=random.random() < 0.05)


def case_of_error(place: str, name: str, code: str, runs: bool = False) -> Case:
    """An error when the row is imported, when the model is, or in ``build``."""
    model = _MODEL
    if place == "model":
        model = _MODEL + code + "\n"
    elif place == "build":
        inner = "\n".join(f"    {line}" for line in code.split("\n"))
        model = f"def build(backbone, config, switches):\n{inner}\n    return None\n"
    row = code + "\n" + _ROW if place == "row" else _ROW
    refusing: Step = ("run", "both.yaml") if runs else ("run", "named.yaml")
    if place == "row" and not runs:
        refusing = ("plan", "named.yaml")
    title = f"{name} in the {place}"
    return _case(title, row, model, refusing, must_fail=True, trained=runs)


def case_of_leaving(name: str, code: str) -> Case:
    """Code that ends the process: what does not name the package must work all the same."""
    return _case(f"{name} in the row", f"{code}\n{_ROW}", _MODEL, None)


def case_of_row(title: str, row: str) -> Case:
    """Something else than a row."""
    return _case(title, row, _MODEL, ("plan", "named.yaml"))


def case_of_fields(fields: dict[str, str], runs: bool = False) -> Case:
    """A row with other values in its fields; they may be harmless."""
    changes = "".join(
        f"object.__setattr__(METHOD, {key!r}, {value})\n" for key, value in fields.items()
    )
    title = ", ".join(f"{key}={value:.40}" for key, value in fields.items())
    return _case(
        title, _ROW + changes, _MODEL, ("run", "both.yaml") if runs else ("plan", "named.yaml")
    )


def _case(
    title: str,
    row: str,
    model: str,
    naming: Step | None,
    must_fail: bool = False,
    trained: bool = False,
) -> Case:
    """Commands that do not name the package, then one that does."""

    def make(folder: Path) -> None:
        make_thin()
        shutil.copytree(finished(folder.parent), folder, dirs_exist_ok=True)
        content = yaml.safe_load((folder / SUITE).read_text())
        for name, methods in (("named", ["my_neck"]), ("both", ["my_neck", "fpn"])):
            text = yaml.safe_dump(content | {"methods": methods, "seeds": [1]})
            (folder / f"{name}.yaml").write_text(text)
        _install(folder / "site", row, model)

    steps: list[Step] = [("plan", SUITE), ("report", SUITE, "--format", "json"), ("run", SUITE)]
    if naming is not None:
        steps += [("list", "methods"), naming]

    def check(results: Sequence[Result]) -> str:
        return _problem(results, naming is not None, must_fail, trained)

    return Case(title, make, steps, check=check)


def _problem(results: Sequence[Result], named: bool, must_fail: bool, trained: bool) -> str:
    """What is wrong in the outcome of the commands."""
    for result, command in zip(results, ("plan", "report", "run", "list methods"), strict=False):
        if result.code != 0:
            return f"{command} of others exits {result.code}: {result.err}"
        if _NOISE in result.out:
            return f"{command} prints what the package prints"
    try:
        json.loads(results[1].out)
    except (IndexError, ValueError):
        return "report --format json prints something else"
    if not named:
        return ""
    last = results[-1]
    if _NOISE in last.out:
        return "stdout has what the package prints"
    told = PACKAGE in last.out + last.err or "my_neck" in last.err
    if (must_fail or last.code != 0) and not told:
        return f"exits {last.code} without the name of the package"
    if trained and "fpn" not in last.out:
        return "the other row is not trained"
    return ""


def _install(site: Path, row: str, model: str) -> None:
    """Put the package where Python finds it, as ``pip install`` would."""
    info = site / "my_package-1.2.dist-info"
    files = {
        site / "my_package" / "__init__.py": row,
        site / "my_package" / "model.py": model,
        info / "METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.2\n",
        info / "entry_points.txt": "[sobench.methods]\nmy_neck = my_package:METHOD\n",
        info / "RECORD": "",
    }
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    # The parent may have read the rows that are installed.
    for thing in vars(rows).values():
        getattr(thing, "cache_clear", lambda: None)()


FIXED = [case_of_error(place, name, code) for name, code in ERRORS.items() for place in _PLACES] + [
    case_of_leaving(name, code) for name, code in LEAVING.items()
]
FUZZ = Fuzz(NAME, "fuzz: packages", FIXED, draw)
