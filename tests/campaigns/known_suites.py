"""Suites and options that once gave a traceback, a hang or a forged terminal; always tried."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.campaigns.hostile import ALIASES

_HEAD = """\
input: {size: [64, 64]}
backbone: {name: resnet18, weights: none, norm: train}
schedule: {epochs: 1, batch_size: 2, lr: 0.005}
device: cpu
"""
_DATA = "dataset: {format: synthetic, train: 3, val: 2, size: [64, 64]}\n"
_METHODS = "methods: [fpn]\n"


def _with(line: str, methods: str = _METHODS, data: str = _DATA) -> str:
    return _HEAD + data + methods + line + "\n"


def _chain(length: int) -> str:
    rows = ["{name: fpn, label: r0}"]
    rows += [f"{{name: fpn, label: r{n}, init_from: r{n - 1}}}" for n in range(1, length)]
    return f"methods: [{', '.join(rows)}]\n"


KNOWN_TEXTS = {
    "a date that is none": _with("title: 2001-99-99"),
    "a wrong integer": _with("title: !!int x"),
    "a float of nothing": _with("title: !!float"),
    "a wrong boolean": _with("title: !!bool x"),
    "a wrong time": _with("title: !!timestamp x"),
    "4301 digits": _with("evaluate_every: " + "9" * 4301),
    "6000 digits in hexadecimal": _with("evaluate_every: 0x" + "f" * 6000),
    "seconds of sixties": _with("evaluate_every: " + ":".join(["1"] * 3000)),
    "3000 deep": _with("title: " + "[" * 3000 + "]" * 3000),
    "400 deep": _with("title: " + "[" * 400 + "]" * 400),
    "3000 mappings deep": _with("title: " + "{a: " * 3000 + "}" * 3000),
    "3000 blocks deep": _with("title:\n" + "\n".join(" " * n + "a:" for n in range(1, 3000))),
    "a list as head": _with("head: [a]"),
    "a mapping as head": _with("head: {a: 1}"),
    "a list as protocol": _with("protocol: [coco]"),
    "a number as key of a row": _with("", methods="methods: [{name: fpn, 1: 2}]\n"),
    "null as key of a row": _with("", methods="methods: [{name: fpn, ~: 2}]\n"),
    "a list as a label": _with("", methods="methods: [{name: fpn, label: [a]}]\n"),
    "a number as a deviation": _with(
        "", methods="methods: [{name: fpn, deviations: {1: 2, reason: x}}]\n"
    ),
    "NUL in root": _with("", data='dataset: {format: coco, root: "a\\0b", train: t, val: v}\n'),
    "NUL in weights": _with("").replace("weights: none", 'weights: "a\\0b"'),
    "NUL in train": _with("", data='dataset: {format: coco, root: ".", train: "\\0", val: v}\n'),
    "a lone surrogate in title": _with('title: "\\uD800"'),
    "a lone surrogate in a label": _with("", methods='methods: [{name: fpn, label: "\\uD800"}]\n'),
    "a lone surrogate in root": _with(
        "", data='dataset: {format: coco, root: "\\uD800", train: t, val: v}\n'
    ),
    "a chain of 400 origins": _with("", methods=_chain(400)),
    "2000 rows": _with("", methods=f"methods: [{', '.join(['fpn'] * 2000)}]\n"),
    "aliases in engine": _with(f"engine: {ALIASES}"),
    "aliases in title": _with(f"title: {ALIASES}"),
    "aliases in methods": _with("", methods=f"methods: {ALIASES}\n"),
    "aliases in a row": _with("", methods=f"methods: [{ALIASES}]\n"),
    "aliases in a switch": _with("", methods=f"methods: [{{name: fpn, fuse: {ALIASES}}}]\n"),
    "aliases in format": _with("", data=f"dataset: {{format: {ALIASES}}}\n"),
    "aliases in a label": _with("", methods=f"methods: [{{name: fpn, label: {ALIASES}}}]\n"),
    "aliases in a reason": _with(
        "", methods=f"methods: [{{name: fpn, deviations: {{schedule.lr: 1, reason: {ALIASES}}}}}]\n"
    ),
    "aliases in a deviation": _with(
        "", methods=f"methods: [{{name: fpn, deviations: {{schedule.lr: {ALIASES}, reason: x}}}}]\n"
    ),
    "aliases as a key": _with(f"? {ALIASES}\n: 1"),
    "a list in itself": _with("title: &a [*a]"),
    "a mapping in itself": _with("neck: &a {b: *a}"),
    "merges of merges": _with(
        "a: &a {x: 1}\n" + "".join(f"b{n}: &b{n} {{<<: [*a, *a, *a]}}\n" for n in range(400))
    ),
    "python": _with("title: !!python/object/apply:os.system ['touch executed']"),
    "python's name": _with("title: !!python/name:os.system"),
    "a name with ..": _with("name: ../../x"),
    "UTF-16": _with("").encode("utf-16").decode("latin-1"),
    "nothing": "",
    "a scalar": "x",
    "a list": "[]",
    "two documents": _with("") + "---\n" + _with(""),
    "a directive": "%YAML 9.9\n---\n" + _with(""),
    "a long line": _with("title: " + "x" * 1_000_000),
    "a million keys": "\n".join(f"k{n}: 1" for n in range(20_000)),
    "a secret": _with("", data="dataset: {format: coco, root: $SECRET, train: t, val: v}\n"),
    "a secret in weights": _with("").replace("weights: none", "weights: $SECRET"),
    "a secret in title": _with("title: $SECRET"),
    "markup in a label": _with("", methods='methods: [{name: fpn, label: "[/x]"}]\n'),
    "markup in title": _with('title: "[/x] [bold]b[/bold] [link=http://x]y[/link]"'),
    "escapes in a label": _with(
        "", methods='methods: [{name: fpn, label: "a\\e[2J\\e]0;mine\\ab\\x9b31m"}]\n'
    ),
    "escapes in title": _with('title: "a\\e[2J\\e]0;mine\\ab\\x9b31m\\r"'),
    "escapes in an unknown key": _with('"a\\e[2J": 1'),
    "escapes in an unknown value": _with('engine: "a\\e[2J\\r"'),
    "escapes in a reason": _with(
        "", methods='methods: [{name: fpn, deviations: {schedule.lr: 1, reason: "\\e[2J"}}]\n'
    ),
    "escapes in a path": _with("").replace("weights: none", 'weights: "a\\e[2J"'),
    "cells of a spreadsheet": _with("", methods="methods: [{name: fpn, label: '=1+1'}]\n"),
    "anchors of no ratio": _with("anchors: {ratios: []}"),
    "anchors beyond floats": _with("anchors: {smallest: 1.0e+308, octaves: 6}"),
    "epochs of 10^23": _with("").replace("epochs: 1,", f"epochs: {10**23},"),
    "10^18 images": _with("", data=f"dataset: {{format: synthetic, train: {10**18}, val: 2}}\n"),
    "a seed of 10^23 in the data": _with(
        "", data=f"dataset: {{format: synthetic, train: 3, val: 2, seed: {10**400}}}\n"
    ),
}  # fmt: skip

"""What is wrong -> the suite."""

KNOWN_OPTIONS = (
    ("--seeds", str(10**23)), ("--seeds", "4294967296"), ("--seeds", "2147483648"),
    ("--seeds", "9" * 5000), ("--seeds", "١٢"), ("--seeds", "²"), ("--seeds", "-1"),
    ("--limit", str(10**23)), ("--limit", "9" * 5000), ("--epochs", "9" * 5000),
    ("--epochs", str(10**400)), ("--methods", "\x1b[2J"), ("--methods", "a" * 5000),
    ("--methods", "[/x]"), ("--set", "title=2001-99-99"), ("--set", "title=!!int x"),
    ("--set", "evaluate_every=" + "9" * 4301), ("--set", "title=" + "[" * 3000 + "]" * 3000),
    ("--set", "title=" + "[" * 400 + "]" * 400), ("--set", 'title="\\0"'),
    ("--set", 'title="\\uD800"'), ("--set", 'dataset.root="\\0"'), ("--set", "head=[a]"),
    ("--set", "title=[&a [x,x],&b [*a,*a],&c [*b,*b],&d [*c,*c],&e [*d,*d],*e]"),
    ("--set", f"engine={ALIASES}"),
    ("--set", "title=&a [*a]"), ("--set", "=1"), ("--set", "." * 3000 + "=1"),
    ("--set", "a" * 5000 + "=1"), ("--set", "\x1b[2J=1"), ("--set", "title=\x1b[2J"),
    ("--set", "title=!!python/object/apply:os.system ['touch x']"), ("--set", "methods=[]"),
    ("--set", ".".join(["a"] * 2000) + "=1"), ("--set", "backbone.weights=$SECRET"),
    ("--set", "dataset={format: coco, root: $SECRET, train: t, val: v}"),
)  # fmt: skip
"""Option and its value."""


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


KNOWN_PATHS: dict[str, Callable[[Path], None]] = {
    "a folder as suite": Path.mkdir,
    "a FIFO as suite": os.mkfifo,
    "/dev/zero as suite": lambda path: path.symlink_to("/dev/zero"),
    "/dev/null as suite": lambda path: path.symlink_to("/dev/null"),
    "a link to itself as suite": _loop,
    "zeros as suite": lambda path: os.truncate(_touched(path), 2**33),
}
"""What is wrong -> a function that makes the path."""


def _touched(path: Path) -> Path:
    path.touch()
    return path
