"""Suite files that somebody wrote to break what reads them; all are refused in a line or two."""

from __future__ import annotations

from typing import Any

from tests.suite.suite_texts import fpn, text_of

BOMB = "&a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{key}: &{key} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, key in zip("abcdefgh", "bcdefghi", strict=True)
)
VALUES: dict[str, Any] = {
    "list": ["a"],
    "mapping": {"a": 1},
    "nested": [[[[[[[["a"]]]]]]]],
    "long text": "x" * 10**4,
    "long list": list(range(500)),
    "large number": 10**39,
    "negative": -(10**39),
    "not a number": float("nan"),
    "infinite": float("-inf"),
    "true": True,
    "bar": "[/x] | <b> `",
}
"""Values that one key or another takes; none may take longer or say more than a line."""

KEYS = (
    "name", "title", "dataset", "dataset__format", "dataset__train", "dataset__size",
    "dataset__objects", "dataset__seed", "input", "input__size", "input__resize", "augment",
    "augment__hflip", "augment__scale_jitter", "backbone", "backbone__name", "backbone__weights",
    "backbone__freeze", "neck__channels", "neck__norm", "head", "anchors", "anchors__scale",
    "anchors__ratios", "regions", "schedule", "schedule__epochs", "schedule__lr",
    "schedule__milestones", "schedule__warmup", "precision", "device", "compile", "seeds",
    "detect",
    "detect__max_detections", "protocol", "engine", "evaluate_every", "eval_sizes", "multi_scale",
    "multi_scale__scales", "multi_scale__flip", "keep_background", "methods",
)  # fmt: skip


def _rows(**row: Any) -> str:
    return text_of(methods=["ssd", {"name": "fpn", **row}])


HOSTILE: dict[str, tuple[str, str]] = {
    # name: (content of the file, what the message says after its path)
    **{
        f"aliases of aliases in {key}": (
            f"{key}: {BOMB}", ": line 5, column",
        )
        for key in ("engine", "title", "methods", "seeds")
    },
    "head that is a list": (text_of(head=["a"]), ": head: [a] is wrong; write text"),
    "protocol that is a mapping": (text_of(protocol={"a": 1}), ": protocol: {a: 1} is wrong;"),
    "format that is a list": (text_of(dataset__format=["coco"]), ": dataset.format: unknown"),
    "number as a key": (text_of(**{"head": "retinanet"}) + "1: 2\n", ": unknown key '1'; known"),
    "number as a switch": (_rows(**{}).replace("name: fpn", "name: fpn\n  1: 2"),
                           ": methods: fpn: unknown key '1'; known: fuse,"),
    "number as a deviation": (
        text_of(methods=[{"name": "fpn", "deviations": {1: 2, "reason": "x"}}]),
        ": methods: fpn: deviations: unknown key '1'",
    ),
    "number as a key of a section": (text_of(neck={1: 2}), ": unknown key 'neck.1'"),
    "long key": ("x" * 10**6 + ": 1", ": line 1"),
    "long key in quotes": (f'? "{"x" * 10**5}"\n: 1\n', ": unknown key 'xxxx"),
    "long method": (text_of(methods=["x" * 10**5]), ": methods: unknown method 'xxxx"),
    "long label": (_rows(label="x" * 101), ": methods.1.label: xxxx"),
    "label that is a list": (_rows(label=["a"]), ": methods.1.label: [a] is wrong; write text"),
    "empty label": (_rows(label=" "), ": methods.1.label: ' ' is wrong; write some text"),
    "label of two lines": (_rows(label="a\nb"), ": methods.1.label: "),
    "title of two lines": (text_of(title="a\nb"), ": title: "),
    "reason of two lines": (
        text_of(methods=fpn(precision="bf16", reason="a\nb")), ": methods.0.reason: ",
    ),
    "reason that is a list": (
        text_of(methods=fpn(precision="bf16", reason=["a"])), ": methods.0.reason: [a] is wrong",
    ),
    "long name": (text_of(name="x" * 101), ": name: xxxx"),
    "name of dots": (text_of(name=".."), ": name: .. is wrong; use letters"),
    "name with a slash": (text_of(name="a/b"), ": name: a/b is wrong; use letters"),
    "name of two lines": (text_of(name="a\n"), ": name: "),
    "written NUL in a path": ('backbone: {weights: "\\0"}', ": line 1, column 21: control"),
    "half character in a title": ('title: "\\uD800"', ": line 1, column 8: control character"),
    "escape sequence in a label": ('methods: [{name: fpn, label: "\\e[2J"}]', ": line 1, column 3"),
    "long path": (text_of(backbone__weights="a/" * 10**5), ": backbone.weights: a/a/"),
    "seed of 2^31": (text_of(seeds=[2**31]), ": seeds.0: 2147483648 is wrong; it must be less"),
    "seed that is true": (text_of(seeds=[True]), ": seeds: [true] is wrong; true and false have"),
    "rate that is true": (text_of(schedule__lr=True), ": schedule.lr: true is wrong; true and"),
    "many seeds": (text_of(seeds=list(range(1001))), ": seeds: [0, 1, 2, 3, 4, 5, 6, 7, '...']"),
    "many rows": (text_of(methods=["fpn"] * 201), ": methods: "),
    "endless training": (text_of(schedule__epochs=10**23), ": schedule.epochs: 1000000000000000"),
    "number of 5000 digits": (f"seeds: [{'9' * 5000}]", ": line 1, column 9: '999"),
    "date": (text_of(seeds=1).replace("seeds: 1", "seeds: 2001-99-99"), ": seeds: '2001-99-99' is"),
    "chain of rows": (
        text_of(methods=["fpn", *(
            {"name": "fpn", "label": f"r{i}", "init_from": f"r{i - 1}" if i else "fpn"}
            for i in range(150)
        )]),
        ": methods: r20: init_from leads through more than 20 rows; start nearer",
    ),
    "row from itself": (
        text_of(methods=[{"name": "fpn", "init_from": "fpn"}]), ": methods: fpn: init_from: fpn <-",
    ),
    "init_from that is a mapping": (
        _rows(init_from={"a": "b" * 999}), ": methods: fpn: init_from: {a: bbbb",
    ),
    "key of many dots": (
        text_of(methods=fpn(**{"schedule" + ".a" * 10**4: 1, "reason": "x"})),
        ": methods.0.deviations.schedule.a.a.",
    ),
}  # fmt: skip
