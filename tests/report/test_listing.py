from __future__ import annotations

import io
from pathlib import Path

import pytest

from sobench.report.listing import print_list
from sobench.report.terminal import PlainConsole
from sobench.suite.datasets import DATASETS
from sobench.suite.heads import HEADS
from sobench.suite.methods import methods
from sobench.suite.protocols import PROTOCOLS
from tests.suite.shipped import SHIPPED
from tests.tiny_suite import write_tiny

TABLES = {
    "methods": methods(),
    "heads": HEADS,
    "datasets": DATASETS,
    "protocols": PROTOCOLS,
}


def listed(what: str, width: int = 200) -> list[str]:
    target = io.StringIO()
    print_list(what, PlainConsole(file=target, width=width, force_terminal=False))
    return [line.rstrip() for line in target.getvalue().splitlines()]


@pytest.mark.parametrize("what", TABLES)
def test_every_row_of_a_table(what: str) -> None:
    lines = listed(what)
    for name, entry in TABLES[what].items():  # type: ignore[attr-defined]
        line = next(line for line in lines if line.split()[:1] == [name])
        assert entry.title in line
    assert lines[0].split()[0] == what.removesuffix("s").replace("dataset", "format")


def test_methods_have_their_papers_switches_and_deviations() -> None:
    text = "\n".join(listed("methods"))
    for name, method in methods().items():
        assert method.paper in text
        for key, switch in method.switches.items():
            assert f"{name}  {key}: " in text
            assert switch.meaning in text
        for deviation in method.deviations:
            said = deviation if isinstance(deviation, str) else deviation.text
            assert f": {said}" in text
    assert "fpn  fuse: true, false (default true): " in text


def test_protocols_have_their_bins_as_sides() -> None:
    tiny = next(line for line in listed("protocols") if line.startswith("tiny "))
    assert "XS 0-10, S 10-16, M 16-inf" in tiny
    assert "1/10/100" in tiny
    assert "v1" in tiny


def test_suites_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "suites" / "deep").mkdir(parents=True)
    write_tiny(tmp_path / "suites", title="My things", seeds=[0, 1, 2], methods=["fpn", "ssd"])
    (tmp_path / "suites" / "deep" / "broken.yaml").write_text("naem: x\n")
    monkeypatch.chdir(tmp_path)
    heading, broken, good, *_ = listed("suites")
    assert heading.split() == ["suite", "runs", "title", "methods"]
    assert good.split("  ") == ["suites/tiny.yaml        ".strip(), *good.split("  ")[1:]]
    assert good.split()[1:] == ["6", "My", "things", "fpn,", "ssd"]
    assert broken.split()[0] == "suites/deep/broken.yaml"
    assert "unknown key 'naem'; did you mean 'name'?" in broken


def test_suites_of_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "\n".join(listed("suites"))
    for path in SHIPPED:
        assert str(path) in text


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("what", [*TABLES, "suites", "keys"])
def test_a_narrow_terminal_cuts_nothing(what: str, width: int) -> None:
    lines = listed(what, width)
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert "…" not in text
    for method in methods().values() if what == "methods" else ():
        assert f"{method.paper} " in text
    for path in SHIPPED if what == "suites" else ():
        assert f"{path.name} " in text
