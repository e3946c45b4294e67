from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sobench.data.fingerprint import fingerprint
from sobench.metrics.foreign import read_foreign
from sobench.metrics.foreign.table import to_detections
from sobench.metrics.scoring import score
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.matches import keep_matches
from sobench.runs.record import Record
from sobench.runs.splits import load_split
from sobench.suite.plan import plan
from sobench.suite.protocols import PROTOCOLS
from sobench.suite.reader import load
from tests.commands.small_suite import Capture, write_suite
from tests.metrics.foreign.written import WRITERS, detections, split, write_data
from tests.records import Outcome, invoke, isolate, record_of
from tests.runs.matrices import Recorder
from tests.stored_rows import write_rows

RECORDED = Path(__file__).parents[2] / "baselines" / "recorded"
DATA = {"format": "coco", "root": "data", "train": "train.json", "val": "val.json"}
RESULTS = Path("results")


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)
    write_data(Path("data"), split())
    write_suite(dataset=DATA)


def write(case: str = "coco", name: str = "made", every: int = 1) -> Path:
    """A folder with the detections in a layout, or every n-th of them."""
    Path(name).mkdir()
    return WRITERS[case][1](Path(name), split(), detections(split())[::every])


def enter(capsys: Capture, path: Path, *options: str, label: str = "mine") -> Outcome:
    return invoke(capsys, "score", path, "--suite", "small.yaml", "--label", label, *options)


def external_records() -> list[Record]:
    folders = sorted((RESULTS / "small" / "external").iterdir())
    return [outcome for folder in folders if (outcome := record.read(folder))]


def keep_trained(every: int = 1) -> None:
    """Both rows of the suite as if they had been trained and had detected these."""
    suite = load(Path("small.yaml"))
    for number, run in enumerate(plan(suite, fingerprint(suite.dataset))):
        folder, dataset = RunFolder.of(run, RESULTS), load_split(run, "val")
        digest = write_rows(folder.detections(), detections(split())[:: every + number])
        made = to_detections(read_foreign(folder.detections())[1], dataset, PROTOCOLS["coco"])
        scored = score(dataset, made.table, PROTOCOLS["coco"])
        digests = {folder.detections().name: digest}
        images = {"train": 1, "val": len(dataset.images)}
        outcome = record_of(run, scored=scored, digests=digests, images=images)
        keep_matches(run, folder, dataset, digest, Recorder())
        record.write(outcome, folder.path)


def test_a_row_among_those_of_the_suite(capsys: Capture) -> None:
    keep_trained()
    before = invoke(capsys, "report", "small.yaml").out
    code, out, err = enter(capsys, write())
    assert code == 0
    assert err == "note: 1 of 6 images have no detections, and count as images without any\n"
    assert invoke(capsys, "report", "small.yaml") == (0, out, "")
    # The same detections as those of the first row have its numbers, intervals and tier.
    content = json.loads(invoke(capsys, "report", "small.yaml", "--format", "json").out)
    assert content["tiers"]["mine"] == content["tiers"]["fpn"]
    assert content["intervals"]["mine"] == content["intervals"]["fpn"]
    assert re.search(r"^ +\S+ +mine \(external\) ", out, re.M)
    assert "external: mine: detections made elsewhere, scored here like those of every row" in out
    assert re.search(r"^external: mine: seed 0 rows.bbox.json \(coco, [0-9a-f]{12}\)$", out, re.M)
    assert "learning rate: the suite's for every row" in out
    assert "mine: learning rate" not in out
    assert "mine" not in before


def test_the_record(capsys: Capture) -> None:
    path = write("yolo")
    assert enter(capsys, path, "--seed", "3").code == 0
    (outcome,) = external_records()
    assert (outcome.method, outcome.label, outcome.seed) == ("external", "mine", 3)
    assert (outcome.status, outcome.cost, outcome.images) == ("ok", None, {"val": 6})
    assert outcome.detections == 30
    assert outcome.source
    assert (outcome.source.name, outcome.source.layout) == ("labels", "yolo")
    assert outcome.data == fingerprint(load(Path("small.yaml")).dataset)


@pytest.mark.parametrize("case", WRITERS)
def test_every_layout_stores_the_same_detections(capsys: Capture, case: str) -> None:
    assert enter(capsys, write(case, "made")).code == 0
    assert enter(capsys, write("csv", "other"), label="b").code == 0
    a, b = external_records()
    assert next(iter(a.scores.values())).metrics == next(iter(b.scores.values())).metrics
    first, second = (
        Path(RESULTS / "small" / "external" / x.run_id / "detections.json.gz") for x in (a, b)
    )
    assert sorted(read_foreign(first)[1].boxes.tolist()) == sorted(
        read_foreign(second)[1].boxes.tolist()
    )


def test_a_finished_run_of_its_own_detections_digit_by_digit(capsys: Capture) -> None:
    keep_trained()
    run, _ = plan(load(Path("small.yaml")), fingerprint(load(Path("small.yaml")).dataset))
    folder = RunFolder.of(run, RESULTS)
    assert enter(capsys, folder.detections()).code == 0
    own = record.read(folder.path)
    (external,) = external_records()
    assert own
    assert external.scores == own.scores
    assert external.digests == own.digests
    matches = folder.matches(PROTOCOLS["coco"])
    other = RESULTS / "small" / "external" / external.run_id / matches.name
    assert other.read_bytes() == matches.read_bytes()


def test_seeds_of_one_label_are_one_row(capsys: Capture) -> None:
    enter(capsys, write(name="a"))
    enter(capsys, write(name="b", every=2), "--seed", "1")
    out = invoke(capsys, "report", "small.yaml", "--format", "json").out
    content = json.loads(out)
    (row,) = content["rows"]
    assert (row["method"], row["seeds"]) == ("mine", 2)
    values = [scores.metrics["AP"] for r in external_records() for scores in r.scores.values()]
    assert row["AP"] == pytest.approx(np.mean(np.array(values, float)), rel=1e-12)
    assert row["AP_std"] > 0
    assert content["external"] == ["mine"]
    code, out, _ = invoke(capsys, "report", "small.yaml", "--seeds", "1", "--format", "json")
    assert (code, json.loads(out)["rows"][0]["seeds"]) == (0, 1)


def test_other_detections_of_a_seed_need_replace(capsys: Capture) -> None:
    first, second = write(name="a"), write(name="b", every=3)
    enter(capsys, first)
    before = external_records()
    assert enter(capsys, first).code == 0  # the same again
    assert external_records()[0].scores == before[0].scores
    code, out, err = enter(capsys, second)
    assert (code, out) == (2, "")
    assert "error: mine seed 0: has been scored from rows.bbox.json on 20" in err
    assert "give another --label or --seed, or --replace them" in err
    assert external_records()[0].digests == before[0].digests
    assert enter(capsys, second, "--replace").code == 0
    assert external_records()[0].detections == 10


def test_methods_choose_external_rows_too(capsys: Capture) -> None:
    keep_trained()
    enter(capsys, write())

    def shown(*names: str) -> list[str]:
        out = invoke(
            capsys, "report", "small.yaml", "--methods", ",".join(names), "--format", "json"
        )
        return sorted(row["method"] for row in json.loads(out.out)["rows"])

    assert shown("fpn", "mine") == ["fpn", "mine"]
    assert shown("mine") == shown("external") == ["mine"]
    assert shown("ssd") == ["ssd"]
    assert invoke(capsys, "report", "small.yaml", "--methods", "your").code == 2


def test_every_format_marks_the_row(capsys: Capture) -> None:
    keep_trained()
    enter(capsys, write())
    table = invoke(capsys, "report", "small.yaml", "--format", "md").out
    assert "| mine (external) |" in table
    text = invoke(capsys, "report", "small.yaml", "--format", "csv").out
    marks = {row["method"]: row["external"] for row in csv.DictReader(text.splitlines())}
    assert marks == {"mine": "True", "fpn": "False", "ssd": "False"}


def test_external_rows_of_some_images_stay_apart(capsys: Capture) -> None:
    keep_trained()
    rows = [row for row in detections(split()) if row["image_id"] <= 20]
    Path("few.json").write_text(json.dumps(rows))
    code, out, _ = enter(capsys, Path("few.json"), "--limit", "2")
    assert code == 0
    assert "PARTIAL RESULT (--limit 2)" in out
    assert "mine" not in invoke(capsys, "report", "small.yaml").out
    assert "mine" in invoke(capsys, "report", "small.yaml", "--limit", "2").out
    assert external_records()[0].status == "partial"


def test_another_protocol_scores_the_stored_detections_again(capsys: Capture) -> None:
    suite = write_suite(dataset=DATA, methods=["fpn"])
    enter(capsys, write())
    shown = invoke(capsys, "report", suite, "--set", "protocol=tiny")
    assert shown.code == 4
    assert "scored by coco v1 hotcoco, not by tiny v1 hotcoco" in shown.err
    shutil.rmtree("made")
    from sobench.runs.external import bring_up_to_date
    from sobench.runs.external_runs import external_runs
    from sobench.suite.overrides import read_request

    request = read_request(suite, ["protocol=tiny"])
    runs = external_runs(request, RESULTS, fingerprint(request.suite.dataset))
    states = bring_up_to_date(runs, RESULTS)
    assert [state.name for state in states.values()] == ["done"]
    assert not any(state.is_unmatched for state in states.values())
    out = invoke(capsys, "report", suite, "--set", "protocol=tiny").out
    assert re.search(r"^ +1 +mine \(external\) ", out, re.M)
    assert sorted(external_records()[0].scores) == ["coco v1 hotcoco", "tiny v1 hotcoco"]


def test_changed_data_are_told(capsys: Capture) -> None:
    keep_trained()
    enter(capsys, write())
    Path("data/images/day/a_10.jpg").write_text("another picture")
    keep_trained()  # on the new state
    state = fingerprint(load(Path("small.yaml")).dataset)
    out = invoke(capsys, "report", "small.yaml", "--data", state[:6]).out
    assert "mine seed 0: missing: it was scored on another state of the data" in out


def test_damaged_records_are_left_out(capsys: Capture) -> None:
    keep_trained()
    enter(capsys, write())
    (path,) = (RESULTS / "small" / "external").glob("*/record.json")
    path.write_text(path.read_text().replace('"detections": 30', '"detections": 31'))
    out = invoke(capsys, "report", "small.yaml").out
    assert "its content does not fit its digest; score it again" in out
    assert "mine (external)" not in out


def test_a_label_that_the_suite_has_got_since(capsys: Capture) -> None:
    enter(capsys, write(), label="later")
    write_suite(dataset=DATA, methods=["fpn", {"name": "fpn", "label": "later", "deviations": {
        "schedule.lr": 0.01, "reason": "a test"}}])  # fmt: skip
    code, _, err = invoke(capsys, "report", "small.yaml")
    assert code == 2
    assert "suite small has a row 'later' of its own" in err
    assert "or delete this folder" in err


def test_plan_leaves_them_out_and_audit_names_them(capsys: Capture) -> None:
    enter(capsys, write())
    assert "mine" not in invoke(capsys, "plan", "small.yaml").out
    out = invoke(capsys, "audit", "small.yaml").out
    assert re.search(r"not\s+audited: external rows, whose training is not known: mine", out)


def test_found_and_compare_take_them_as_rows(capsys: Capture) -> None:
    keep_trained()
    enter(capsys, write(every=3))
    out = invoke(capsys, "report", "small.yaml", "--found", "--methods", "fpn,mine").out
    assert "only mine (external)" in out
    assert re.search(r"^ *fpn +mine \(external\) ", out, re.M)
    shutil.copytree("results", "later")
    code, out, err = invoke(capsys, "compare", "results", "later", "--suite", "small.yaml")
    assert (code, err) == (0, "")
    # For AP and for the smallest objects.
    assert len(re.findall(r"^ *mine \(external\) +\d\.\d+ +\d\.\d+ +same", out, re.M)) == 2
    assert not re.search(r"^ *mine +\d", out, re.M)


def test_average_ranks_mark_them(capsys: Capture) -> None:
    for name in ("small", "other"):
        write_suite(dataset=DATA, name=name)
        keep_trained()
        assert enter(capsys, write(name=f"made for {name}", every=3)).code == 0
        Path("small.yaml").rename(f"{name}_suite.yaml")
    suites = ("small_suite.yaml", "other_suite.yaml")
    code, out, _ = invoke(capsys, "report", *suites, "--format", "md")
    assert code == 0
    ranks = out[out.index("Over 2 suites") :]
    assert re.search(r"^\| mine \(external\) +\| +\d", ranks, re.M)


def test_a_run_ends_with_a_table_that_has_them(capsys: Capture) -> None:
    keep_trained()
    enter(capsys, write())
    code, out, _ = invoke(capsys, "run", "small.yaml")
    assert code == 0
    assert out == invoke(capsys, "report", "small.yaml").out
    assert re.search(r"^ +\S+ +mine \(external\) ", out, re.M)
    # Rows that are asked for are a table of these alone.
    assert "mine" not in invoke(capsys, "run", "small.yaml", "--methods", "fpn").out


def test_an_empty_result_needs_a_word(capsys: Capture) -> None:
    Path("empty.json").write_text("[]")
    code, out, _ = enter(capsys, Path("empty.json"), "--allow-empty")
    assert code == 0
    assert re.search(r"mine \(external\) +0\.000 ", out)


def test_more_detections_than_count_are_told(capsys: Capture) -> None:
    rows: list[dict[str, Any]] = [dict(row) for row in detections(split())]
    rows += [dict(rows[0], bbox=[i, 300.0, 20.0, 20.0], score=0.01) for i in range(120)]
    rows.append(dict(rows[0]))
    Path("many.json").write_text(json.dumps(rows))
    err = enter(capsys, Path("many.json")).err
    assert "note: 23 of 151 detections are beyond the 100 of an image and class" in err
    assert "note: 1 of 151 rows repeat an earlier one, and count as false" in err


def test_the_note_on_the_limit_is_that_of_the_protocol(capsys: Capture) -> None:
    """Of VisDrone an image has a limit, of TT100K only AP has one, and of VOC there is none."""
    rows: list[dict[str, Any]] = [dict(row) for row in detections(split())]
    # 3 x 170 of one image are fewer than 500 of each class, and more of the image.
    rows += [
        dict(rows[0], category_id=number, bbox=[i, 300.0, 20.0, 20.0], score=0.01)
        for number in (1, 2, 5)
        for i in range(170)
    ]
    Path("many.json").write_text(json.dumps(rows))

    def told(protocol: str) -> str:
        command = ("score", "many.json", "--truth", "data/val.json", "--protocol", protocol)
        return invoke(capsys, *command).out

    assert "left out" not in told("visdrone-coco")
    assert "16 of 540 detections are beyond the 500 of an image that the protocol counts, and " in (
        told("visdrone-official")
    )
    assert "are left out by score for AP and AR" in told("tt100k")
    assert "beyond" not in told("voc12")


# --- without a suite -------------------------------------------------------------------------


def test_metrics_against_a_file_alone(capsys: Capture) -> None:
    path = write("yolo")
    code, out, err = invoke(capsys, "score", path, "--truth", "data/val.json", "--format", "json")
    assert (code, err) == (0, "")
    content = json.loads(out)
    entered = enter(capsys, path)
    assert entered.code == 0, entered.err
    (outcome,) = external_records()
    assert content["metrics"] == outcome.scores["coco v1 hotcoco"].metrics
    out = invoke(capsys, "score", path, "--truth", "data/val.json", "--protocol", "tiny").out
    assert out.startswith("labels against COCO val.json\n")
    assert re.search(r"^AP_XS +", out, re.M)
    assert re.search(r"^car .* 5$", out, re.M)
    assert "1 of 6 images have no detections" in out
    assert "protocol: tiny v1, hotcoco" in out


def test_metrics_alone_come_with_what_they_are(capsys: Capture) -> None:
    path = write()
    command = ("score", path, "--truth", "data/val.json", "--protocol")
    _, out, _ = invoke(capsys, *command, "coco-small")
    assert re.search(
        r"^scored images: \d of 6 images, sha256 of their ids [0-9a-f]{16}$", out, re.M
    )
    assert "coco-small: made in the manner of a paper that does not name its images" in out
    _, out, _ = invoke(capsys, *command, "visdrone-official")
    assert "AP: the mean of the official toolkit, in which a class counts once for each" in out
    assert "visdrone-official is made for data of the format visdrone; of coco, crowds" in out


def test_truth_alone_stores_nothing(capsys: Capture) -> None:
    path = write()
    shutil.rmtree("data/images")  # which scoring does not need
    assert invoke(capsys, "score", path, "--truth", "data/val.json").code == 0
    assert not RESULTS.exists()


@pytest.mark.parametrize("layout", ["visdrone", "yolo"])
def test_folders_of_truth(capsys: Capture, layout: str) -> None:
    from PIL import Image

    root = Path("set")
    for part in ("images", "annotations" if layout == "visdrone" else "labels"):
        (root / part).mkdir(parents=True)
    Image.new("RGB", (100, 80)).save(root / "images" / "a.jpg")
    Path("made").mkdir()
    if layout == "visdrone":
        (root / "annotations" / "a.txt").write_text("10,10,20,20,1,4,0,0\n")
        Path("made/a.txt").write_text("10,10,20,20,0.9,4,-1,-1\n")
    else:
        (root / "data.yaml").write_text("train: images\nval: images\nnames: [car]\n")
        (root / "labels" / "a.txt").write_text("0 0.2 0.25 0.2 0.25\n")
        Path("made/a.txt").write_text("0 0.2 0.25 0.2 0.25 0.9\n")
    code, out, err = invoke(capsys, "score", "made", "--truth", root, "--format", "json")
    assert (code, err) == (0, "")
    assert json.loads(out)["metrics"]["AP"] == pytest.approx(1.0)
