"""The method of ``docs/own-method.md``, run as it is printed there."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import yaml

from sobench.errors import RequestError
from sobench.models.build import build_detector
from sobench.models.heads import head_levels
from sobench.suite import plan
from sobench.suite.methods import methods
from sobench.suite.reader import load, parse
from tests.records import invoke, isolate
from tests.suite.packages import install
from tests.tiny_suite import CONTENT, tiny_suite, write_tiny

PAGE = Path(__file__).parents[2] / "docs" / "own-method.md"
DEVIATION = "my_neck deviates: own box loss: smooth L1, beta .11"


def blocks() -> list[tuple[str, str]]:
    """Language and content of the page's code blocks, in order."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(), re.M | re.S)


def block(language: str) -> str:
    """The only block of a language."""
    (content,) = (content for name, content in blocks() if name == language)
    return content


def files_of_the_page() -> dict[str, str]:
    """Path -> content of the blocks that begin with their file's name."""
    named = (re.match(r"# (\S+\.\w+)\n", content) for _, content in blocks())
    return {name[1]: name.string for name in named if name}


def install_the_page(folder: Path, monkeypatch: pytest.MonkeyPatch, version: str = "") -> None:
    """The package of the page, under the name, version and entry points of its pyproject."""
    files = files_of_the_page()
    assert set(files) == {"my_package/__init__.py", "my_package/model.py", "pyproject.toml"}
    project = tomllib.loads(files.pop("pyproject.toml"))["project"]
    points = project["entry-points"]["sobench.methods"]
    install(folder, monkeypatch, files, project["name"], version or project["version"], points)


def test_it_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install_the_page(tmp_path, monkeypatch)
    monkeypatch.setenv("COLUMNS", "200")
    listed = invoke(capsys, "list", "methods")
    assert listed.code == 0, listed.err
    lines = [line.rstrip() for line in listed.out.splitlines()]
    assert "my_neck comes from my-package 1.2, my_package" in lines
    assert DEVIATION in lines
    assert any(line.startswith("my_neck  pool: avg, max (default avg): how") for line in lines)
    assert any(re.match(r"my_neck +Pyramid pooled .* retinanet, faster_rcnn", x) for x in lines)
    assert not any(line.startswith("fpn comes from") for line in lines)
    *built_in, last = methods()
    assert (built_in, last) == (sorted(built_in), "my_neck")
    assert "my_package.model" not in sys.modules  # built only, never listed


def test_a_suite_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_the_page(tmp_path, monkeypatch)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in CONTENT.items() if k != "methods"} |
                                   {"name": "mine"}) + block("yaml"))  # fmt: skip
    runs = {run.entry.label: run for run in plan.plan(load(path), "")}
    assert list(runs) == ["fpn", "my_neck", "my_neck-max"]
    assert runs["my_neck-max"].entry.switches == {"pool": "max"}
    assert runs["my_neck"].settings["source"] == "my-package 1.2"
    assert "source" not in runs["fpn"].settings
    assert runs["my_neck"].folder(tmp_path).parent == tmp_path / "mine" / "my_neck"
    with pytest.raises(RequestError, match=r"my_neck: unknown key 'pol'; did you mean 'pool'?"):
        tiny_suite(methods=[{"name": "my_neck", "pol": "max"}])
    with pytest.raises(RequestError, match="my_neck: pool: mean is not one of avg, max"):
        tiny_suite(methods=[{"name": "my_neck", "pool": "mean"}])


def test_a_new_version_is_a_new_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ids() -> dict[str, str]:
        runs = plan.plan(tiny_suite(methods=["fpn", "my_neck"]), "")
        return {run.entry.name: run.id for run in runs}

    with monkeypatch.context() as patch:
        install_the_page(tmp_path, patch)
        before = ids()
    install_the_page(tmp_path, monkeypatch, "1.3")
    after = ids()
    assert after["my_neck"] != before["my_neck"]
    assert after["fpn"] == before["fpn"]


def test_without_its_package_it_is_unknown() -> None:
    with pytest.raises(RequestError, match="unknown method 'my_neck'; known: efpn, fpn"):
        parse(CONTENT | {"methods": ["my_neck"]}, Path("tiny.yaml"))


def test_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install_the_page(tmp_path, monkeypatch)
    isolate(tmp_path, monkeypatch)
    short = {"schedule": {"epochs": 1, "batch_size": 2, "lr": 0.005, "warmup": {"steps": 0}}}
    path = write_tiny(tmp_path, **short, **yaml.safe_load(block("yaml")))
    path.rename("my_suite.yaml")
    program, *arguments = block("").split()
    assert program == "sobench"
    planned = invoke(capsys, "plan", *arguments[1:])
    assert planned.code == 0, planned.err
    assert [line.split()[3] for line in planned.out.splitlines() if "my_neck" in line] == [
        "missing", "missing",
    ]  # fmt: skip
    ran = invoke(capsys, *arguments)
    assert ran.code == 0, ran.err
    reported = invoke(capsys, "report", *arguments[1:])
    assert reported.code == 0, reported.err
    for out in (ran.out, reported.out):
        ranked = set(re.findall(r"^ *[1-3](?:-[1-3])? +(\S+) .*? 0\.", out, re.MULTILINE))
        assert ranked == {"fpn", "my_neck", "my_neck-max"}
        own_loss = DEVIATION.removeprefix("my_neck deviates: ")
        assert re.search(rf"^[a-z]  {re.escape(own_loss)}$", out, re.MULTILINE)


@pytest.mark.parametrize("head", ["retinanet", "faster_rcnn"])
def test_its_maps_have_the_strides_of_the_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    install_the_page(tmp_path, monkeypatch)
    suite = tiny_suite(methods=["my_neck"], head=head)
    detector = build_detector(suite, suite.methods[0], num_classes=3, seed=0).eval()
    with torch.no_grad():
        maps = detector.neck(detector.backbone(torch.zeros(1, 3, 96, 160)))
    assert [tuple(x.shape) for x in maps] == [
        (1, 16, -(-96 // stride), -(-160 // stride)) for stride in head_levels(head).strides
    ]
