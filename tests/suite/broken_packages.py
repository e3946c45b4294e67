"""Packages that bring a row which cannot be used, each with what is said of it."""

from __future__ import annotations

from tests.suite.packages import IMPORTS, row


def package_of(**changes: str) -> dict[str, str]:
    return {"my_package/__init__.py": row(**changes)}


def switch_of(values: str, rest: str = "''") -> dict[str, str]:
    """A package with a switch ``pool`` of this default, these values and what comes behind."""
    return package_of(switches=f"{{'pool': Switch({values}, {rest})}}")


def raising(code: str) -> dict[str, str]:
    """A package that runs this code when it is imported."""
    return {"my_package/__init__.py": f"import sys\n{code}\n"}


POINT = "my_neck cannot be used: sobench.methods: my_neck = 'my_package:METHOD' of my-package 1.2: "

WRONG: dict[str, tuple[dict[str, str], str]] = {
    # name: (files of the package, what the message says)
    "no module": (
        {"other_package/__init__.py": ""},
        "cannot be imported (ModuleNotFoundError: No module named 'my_package'); fix the",
    ),
    "no such name": (
        {"my_package/__init__.py": "METHODS = ()\n"},
        "cannot be imported (AttributeError: module 'my_package' has no attribute 'METHOD'",
    ),
    "not Python": (
        {"my_package/__init__.py": "METHOD = (\n"},
        "cannot be imported (SyntaxError: '(' was never closed",
    ),
    "import that fails": (
        {"my_package/__init__.py": "raise OSError('no licence\\nat all')\n"},
        "cannot be imported (OSError: no licence); fix the package or uninstall it",
    ),
    "not a row": (
        {"my_package/__init__.py": "METHOD = {'title': 'Mine'}\n"},
        "is a dict; let it name a sobench.Method",
    ),
    "unknown head": (
        package_of(heads="('retina_net',)"),
        "heads: unknown 'retina_net'; did you mean 'retinanet'?",
    ),
    "head without its comma": (
        package_of(heads="('retinanet')"),
        "heads: 'retinanet' is not a tuple; write heads=(...,)",
    ),
    "deviation without its comma": (
        package_of(deviations="('own loss')"),
        "deviations: 'own loss' is not a tuple; write deviations=(...,)",
    ),
    "switch that is none": (
        package_of(switches="{'pool': 'avg'}"),
        "switches: pool: 'avg' is not a sobench.Switch; write one",
    ),
    "switch with another default": (
        package_of(switches="{'pool': Switch('sum', ('avg', 'max'), '')}"),
        "switches: pool: its default 'sum' is not one of its values",
    ),
    "need without its comma": (
        package_of(needs="(Need('teacher', 'fpn'))"),
        "needs: a Need is not a tuple; write needs=(...,)",
    ),
    "need that is none": (
        package_of(needs="('fpn',)"),
        "needs: 'fpn' is not a sobench.Need; write one",
    ),
    "need of an unknown method": (
        package_of(needs="(Need('teacher', 'fpm'),)"),
        "needs: 'fpm' is not a built-in method that needs no run itself; name one",
    ),
    "need of a method with needs": (
        package_of(needs="(Need('teacher', 'efpn'),)"),
        "needs: 'efpn' is not a built-in method that needs no run itself; name one",
    ),
    "need of itself": (
        package_of(needs="(Need('teacher', 'my_neck'),)"),
        "needs: 'my_neck' is not a built-in method that needs no run itself; name one",
    ),
    "rule that is none": (
        package_of(rules="('towers are needed',)"),
        "rules: 'towers are needed' is not a function of switches and suite; write one",
    ),
    "switch that no suite can name": (
        package_of(switches="{'label': Switch(1, (1, 2), '')}"),
        "switches: 'label' is a key of every row; give the switch another name",
    ),
    "title that is a number": (package_of(title="3"), "title: 3 is not a text; write one"),
    "title with an escape": (
        package_of(title=r"'\x1b[2J'"),
        r"title: '\x1b[2J' has control characters",
    ),
    "paper of a book": (package_of(paper="'x' * 501"), "paper: 'xxxx"),
    "heads that are none": (
        package_of(heads="None"),
        "heads: null is not a tuple; write heads=(...,)",
    ),
    "head that is a number": (package_of(heads="(1,)"), "heads: unknown '1'; known: retinanet"),
    "head that is a list": (package_of(heads="([],)"), "heads: unknown '[]'; known: retinanet"),
    "switches that are none": (package_of(switches="None"), "switches: null is not a dictionary"),
    "switch without values": (
        switch_of("1, ()"),
        "switches: pool: its values a tuple are not a tuple with a value",
    ),
    "switch of a text": (
        switch_of("'a', 'abc'"),
        "switches: pool: its values 'abc' are not a tuple",
    ),
    "switch of lists": (
        switch_of("[], ([],)"),
        "switches: pool: a list is not a short text, a num",
    ),
    "switch of nothing": (switch_of("None, (None,)"), "switches: pool: null is not a short text"),
    "switch that is not a number": (
        switch_of("NAN, (NAN,)"),
        "switches: pool: .nan is not a short te",
    ),
    "switch of escapes": (
        switch_of(r"'\x1b', ('\x1b',)"),
        r"switches: pool: '\x1b' is not a short",
    ),
    "True for 1": (switch_of("True, (0, 1)"), "switches: pool: its default True is not one of its"),
    "switch of an odd name": (package_of(switches="{'a b': Switch(1, (1,), '')}"),
                              "switches: 'a b' is not a usable name; use letters"),
    "switch of no name": (
        package_of(switches="{1: Switch(1, (1,), '')}"),
        "switches: '1' is not a us",
    ),
    "meaning that is none": (
        switch_of("1, (1,)", "None"),
        "switches: pool: meaning: null is not a text",
    ),
    "switch that needs another": (switch_of("1, (1,)", "'', {'pol': 1}"),
                                  "switches: pool: needs: no switch is called 'pol'; did you mean"),
    "switch that needs another value": (switch_of("1, (1,)", "'', {'pool': True}"),
                                        "switches: pool: needs: pool: true is not one of its val"),
    "switch that needs a list": (switch_of("1, (1,)", "'', ['pool']"),
                                 "switches: pool: needs: a list is not a dictionary"),
    "switch of another head": (
        switch_of("1, (1,)", "'', head='ssd'"),
        "switches: pool: head: unknown 'ssd'",
    ),
    "deviation that is a number": (
        package_of(deviations="(3,)"),
        "deviations: 3 is neither a text nor",
    ),
    "condition on no switch": (package_of(deviations="(When('a', {'pool': 1}),)"),
                               "deviations: switches: no switch is called 'pool'"),
    "condition that is a text": (package_of(deviations="(When('a', where='small'),)"),
                                 "deviations: where: 'small' is not a function of a suite"),
    "condition on a norm": (package_of(deviations="(When('a', norm='batch'),)"),
                            "deviations: norm: unknown 'batch'; known: none, group"),
    "need of a part": (package_of(needs="(Need('teacher', 'fpn', scale=1.5),)"),
                       "needs: scale: 1.5 is neither 0.5 nor 1 to 8; write one"),
    "need of a number": (
        package_of(needs="(Need('teacher', 3),)"),
        "needs: method: 3 is not a text",
    ),
    "source of its own": (
        package_of(source="'mine'"),
        "source: is filled in by sobench; leave it out",
    ),
    "version of 0": (package_of(version="0"), "version: 0 is not a whole number from 1; count up"),
    "version in words": (package_of(version="'2'"), "version: '2' is not a whole number from 1"),
    "row of another class": (
        {"my_package/__init__.py": IMPORTS + "class Odd(Method): pass\nMETHOD = Odd('', '')\n"},
        "is a Odd; let it name a sobench.Method",
    ),
    "class for a row": (
        {"my_package/__init__.py": IMPORTS + "METHOD = Method\n"}, "is a type; let it name a sobe",
    ),
    "import that exits": (raising("sys.exit(0)"), "cannot be imported (SystemExit: 0); fix the"),
    "import that leaves": (
        raising("import os; os._exit(0)"),
        "cannot be imported (SystemExit: os._exit(0)); fix the package or uninstall it",
    ),
    "import that ends a generator": (raising("raise GeneratorExit"), "cannot be imported (Generat"),
    "import with an error of its own": (
        raising("class Odd(BaseException): pass\nraise Odd('a')"),
        "cannot be imported (Odd: a); fix the package or uninstall it",
    ),
    "import with an error without a text": (
        raising("class Odd(Exception):\n    def __str__(self): sys.exit(0)\nraise Odd"),
        "cannot be imported (Odd); fix the package or uninstall it",
    ),
    "import with a long error": (raising("raise ValueError('x' * 10**6)"), "cannot be imported (V"),
    "import with an escape": (
        raising(r"raise ValueError('\x1b[2J')"), r"cannot be imported (ValueError: \x1b[2J); fix",
    ),
}  # fmt: skip
