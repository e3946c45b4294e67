"""Suite files that must be refused, each with the message of its error."""

from __future__ import annotations

from tests.suite.suite_texts import fpn, text_of

WRONG: dict[str, tuple[str, str]] = {
    # name: (content of the file, what the message says after its path)
    "unknown key": (text_of(schedul=1), ": unknown key 'schedul'; did you mean 'schedule'?"),
    "unknown key in a section": (
        text_of(schedule__epoch=1),
        ": unknown key 'schedule.epoch'; did you mean 'epochs'?",
    ),
    "unknown key in a section of a section": (
        text_of(schedule__warmup__step=1),
        ": unknown key 'schedule.warmup.step'; did you mean 'steps'?",
    ),
    "unknown key of a format": (
        text_of(
            dataset={"format": "coco", "root": ".", "train": "a", "val": "b", "train_imgs": ""}
        ),
        ": unknown key 'dataset.train_imgs'; did you mean 'train_images'?",
    ),
    "key of another format": (
        text_of(dataset__root="."),
        ": unknown key 'dataset.root'; known: format, train, val, size, objects, seed",
    ),
    "unknown key of a row": (
        text_of(methods=[{"name": "fpn", "fuze": True}]),
        ": methods: fpn: unknown key 'fuze'; did you mean 'fuse'?",
    ),
    "inner key of a row": (
        text_of(methods=[{"name": "fpn", "switches": {}}]),
        ": methods: fpn: unknown key 'switches'; known: fuse, first_level, label, init_from, dev",
    ),
    "unknown key in deviations": (
        text_of(methods=fpn(**{"schedule.epoch": 1, "reason": "it learns fast"})),
        ": methods: fpn: deviations: unknown key 'schedule.epoch'; did you mean 'epochs'?",
    ),
    "unknown method": (
        text_of(methods=["fpm"]),
        ": methods: unknown method 'fpm'; did you mean 'fpn'?",
    ),
    "unknown head": (
        text_of(head="retina_net"),
        ": head: unknown 'retina_net'; did you mean 'retinanet'?",
    ),
    "unknown protocol": (
        text_of(protocol="visdrone_coco"),
        ": protocol: unknown 'visdrone_coco'; did you mean 'visdrone-coco'?",
    ),
    "unknown format": (
        text_of(dataset__format="cocoo"),
        ": dataset.format: unknown 'cocoo'; did you mean 'coco'?",
    ),
    "no format": (
        text_of(dataset={"train": 1, "val": 1}),
        ": dataset.format is missing; known: coco, visdrone, voc, yolo, tt100k, synthetic",
    ),
    "unknown engine": (
        text_of(engine="hotcocoa"),
        ": engine: unknown 'hotcocoa'; did you mean 'hotcoco'?",
    ),
    "unknown backbone": (
        text_of(backbone__name="resnet5"),
        ": backbone.name: unknown 'resnet5'; did you mean",
    ),
    "unknown stage": (
        text_of(backbone__freeze=["stm"]),
        ": backbone.freeze.0: unknown 'stm'; did you mean 'stem'?",
    ),
    "wrong value of a switch": (
        text_of(methods=[{"name": "ssd", "boxes": "cocoa"}]),
        ": methods: ssd: boxes: cocoa is not one of coco, voc",
    ),
    "number for a true or false": (
        text_of(methods=[{"name": "fpn", "fuse": 1}]),
        ": methods: fpn: fuse: 1 is not one of true, false",
    ),
    "milestone beyond the end": (
        text_of(schedule__milestones=[2, 3]),
        ": schedule.milestones: 3 is beyond the last epoch; epochs is 3, so write",
    ),
    "milestones that fall": (
        text_of(schedule__milestones=[2, 1]),
        ": schedule.milestones: [2.0, 1.0] must rise",
    ),
    "milestones twice the same": (
        text_of(schedule__milestones=[1, 1]),
        ": schedule.milestones: [1.0, 1.0] must rise",
    ),
    "milestones beside cosine": (
        text_of(schedule__decay="cosine"),
        ": schedule.milestones: have no meaning with decay: cosine; leave one out",
    ),
    "key twice": (
        "name: a\nschedule:\n  epochs: 1\n  epochs: 2\n",
        ": line 4, column 3: key 'epochs' is given twice",
    ),
    "unclosed bracket": ("name: a\nseeds: [0\nhead: x\n", ": line 3, column 5: "),
    "tab": ("name: a\n\tseeds: [0]\n", ": line 2, column 1: found character '\\t'"),
    "unreadable character": ("name: a\0b\n", ": line 1, column 8: unacceptable character #x0000"),
    "python tag": (
        "name: !!python/object:os.system a\n",
        ": line 1, column 7: tag '!!python/object:os.system' has no place here; write",
    ),
    "list": ("- fpn\n", ": a suite consists of keys and values, such as `name: smoke`"),
    "empty": ("", ": a suite consists of keys and values"),
    "same label twice": (
        text_of(methods=["fpn", {"name": "fpn", "fuse": False}]),
        ": methods: two rows are called 'fpn'; give one a label",
    ),
    "deviation without a reason": (
        text_of(methods=fpn(precision="bf16")),
        ': methods: fpn: deviations need a reason; write {key: value, reason: "..."}',
    ),
    "deviations as a list": (
        text_of(methods=[{"name": "fpn", "deviations": ["precision"]}]),
        ": methods: fpn: deviations need a reason;",
    ),
    "deviation with a wrong value": (
        text_of(methods=fpn(**{"schedule.lr": -1, "reason": "why not"})),
        ": methods: fpn: deviations: schedule.lr: -1 is wrong; it must be greater than 0",
    ),
    "deviation below a plain value": (
        text_of(methods=fpn(**{"head.name": "x", "reason": "why not"})),
        ": methods: fpn: deviations: head.name: head is not a section; set head as a whole",
    ),
    "deviation of the protocol": (
        text_of(methods=fpn(protocol="tiny", reason="looks better")),
        ": methods: fpn: deviations: protocol must be the same for every row;",
    ),
    "deviation of the data": (
        text_of(methods=fpn(**{"dataset.train": 2, "reason": "looks better"})),
        ": methods: fpn: deviations: dataset.train must be the same for every row;",
    ),
    "frozen norm without weights": (
        text_of(backbone__norm="frozen"),
        ": backbone.norm: frozen needs weights; from scratch write norm: train",
    ),
    "frozen layers without weights": (
        text_of(backbone__freeze=["stem"]),
        ": backbone.freeze: random layers cannot be frozen; write freeze: [] or weights:",
    ),
    "fewer detections than are scored": (
        text_of(protocol="visdrone-coco"),
        ": detect.max_detections: 100 is fewer than protocol visdrone-coco scores; "
        "write at least 500",
    ),
    "same seed twice": (text_of(seeds=[1, 1]), ": seeds: [1, 1] must be different"),
    "no seed": (text_of(seeds=[]), ": seeds: [] must be different and at least one"),
    "negative seed": (text_of(seeds=[-1]), ": seeds.0: -1 is wrong; it must be at least 0"),
    "no rows": (text_of(methods=[]), ": methods: [] is wrong; write at least 1"),
    "row that is a number": (text_of(methods=[3]), ": methods: row 1 is 3; write `- fpn` or"),
    "row without a name": (
        text_of(methods=[{"fuse": True}]),
        ": methods: row 1 is {fuse: true};",
    ),
    "methods that are not a list": (
        text_of(methods="fpn"),
        ": methods: fpn is wrong; write a list, such as [1, 2]",
    ),
    "missing section": ("input: {size: [64, 64]}\n", ": dataset is missing"),
    "missing key": (text_of(schedule={"batch_size": 1, "lr": 1}), ": schedule.epochs is missing"),
    "section that is a number": (
        text_of(augment=3),
        ": augment: 3 is wrong; write keys and values below it, with the keys hflip, scale_jitter",
    ),
    "section without keys": (text_of(multi_scale=None), ": multi_scale: null is wrong; write keys"),
    "scales without their key": (
        text_of(multi_scale=[0.5, 1]),
        ": multi_scale: [0.5, 1] is wrong; write keys and values below it, with the keys scales, "
        "flip; or leave it out",
    ),
    "anchors that are no word": (
        text_of(anchors="paper"),
        ": anchors: paper is wrong; write fit, or keys and values below it, with the keys smallest",
    ),
    "anchors of an earlier version": (
        text_of(anchors={"scale": 3}),
        ": unknown key 'anchors.scale'; write anchors.smallest, in pixels of the input: the scale",
    ),
    "anchors of an earlier version in deviations": (
        text_of(methods=fpn(**{"anchors.scale": 3, "reason": "small objects"})),
        ": methods: fpn: deviations: unknown key 'anchors.scale'; write anchors.smallest",
    ),
    "anchors that are fitted and pinned": (
        text_of(
            anchors={"smallest": 12}, methods=fpn(**{"anchors.fit": True, "reason": "to compare"})
        ),
        ": methods: fpn: deviations: anchors.fit: true finds smallest itself; leave one of the two "
        "out, or write anchors: fit for the whole section",
    ),
    "anchors that are fitted and pinned to the default": (
        text_of(anchors={"smallest": 32, "fit": True}),
        ": anchors: fit: true finds smallest itself; leave one of the two out, or write anchors: f",
    ),
    "anchors of a row that are fitted and pinned to the default": (
        text_of(methods=fpn(anchors={"ratios": [0.5, 1, 2], "fit": True}, reason="to compare")),
        ": methods: fpn: deviations: anchors: fit: true finds ratios itself; leave one of the two",
    ),
    "baseline to start from": (
        text_of(methods=["fpn", {"name": "efpn", "init_from": "fpn"}]),
        ": methods: efpn: init_from: efpn goes on from a run of fpn anyway; leave it out",
    ),
    "key without its section": (text_of(lr=1), ": unknown key 'lr'; did you mean 'schedule.lr'?"),
    "flip without scales": (
        text_of(multi_scale__flip=True),
        ": multi_scale.flip: has no effect without scales; write scales: [1], or leave both out",
    ),
    "file for a label": (
        text_of(methods=[{"name": "fpn", "init_from": "coco.pt"}]),
        ": methods: fpn: init_from: no row is called 'coco.pt'; known: fpn; a file or "
        "folder begins with ./",
    ),
    "classes in a list": (
        text_of(init_from="./weights", init_classes=["a"]),
        ": init_classes: [a] is wrong; write keys and values below it",
    ),
    "words for a number": (text_of(schedule__lr="fast"), ": schedule.lr: fast is wrong; write a"),
    "broken number": (
        text_of(schedule__epochs=1.5),
        ": schedule.epochs: 1.5 is wrong; write a whol",
    ),
    "nothing for a number": (text_of(schedule__epochs=None), ": schedule.epochs: null is wrong;"),
    "infinite number": (
        text_of(schedule__lr=float("inf")),
        ": schedule.lr: .inf is wrong; write a finite number",
    ),
    "too large a number": (text_of(augment__hflip=2), ": augment.hflip: 2 is wrong; it must be at"),
    "odd channels": (
        text_of(neck__channels=13),
        ": neck.channels: 13 is wrong; it must be a multi",
    ),
    "size of one number": (text_of(input__size=[64]), ": input.size: [64] has too few values"),
    "size of three": (
        text_of(input__size=[64, 64, 64]),
        ": input.size: [64, 64, 64] is wrong; write at most 2 values",
    ),
    "sides in the wrong order": (
        text_of(input={"size": [96, 64], "resize": "shorter_side"}),
        ": input.size: write [shorter, longer], not [96, 64]",
    ),
    "jitter in the wrong order": (
        text_of(augment__scale_jitter=[2, 1]),
        ": augment.scale_jitter: [2.0, 1.0] is not a range; write [low, high]",
    ),
    "objects in the wrong order": (
        text_of(dataset__objects=[6, 3]),
        ": dataset.objects: [6, 3] is not a range; write [fewest, most]",
    ),
    "scenes too small": (text_of(dataset__size=[64, 32]), ": dataset.size: [64, 32] is too small;"),
    "name with a blank": (text_of(name="a b"), ": name: a b is wrong; use letters, digits,"),
    "name that leaves the folder": (text_of(name="../b"), ": name: ../b is wrong; use letters"),
}
