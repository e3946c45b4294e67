"""A check as JSON, as JUnit's XML and as GitHub's annotations."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from xml.etree import ElementTree

from sobench.compare.findings import Finding, Regression
from sobench.report.check import conclusion, shown, shown_tolerance
from sobench.text import printable


def to_json(regression: Regression) -> str:
    """Every finding with full precision."""
    content = {
        "suite": regression.suite,
        "passed": not regression.failing,
        "conclusion": conclusion(regression),
        "findings": [asdict(finding) for finding in regression.findings],
        "provenance": regression.provenance,
        "notes": regression.notes,
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def to_junit(regression: Regression) -> str:
    """A test suite for each part, a test case for each row and metric."""
    root = ElementTree.Element("testsuites", name=_xml(f"sobench check {regression.suite}"))
    for part in dict.fromkeys(finding.part for finding in regression.findings):
        findings = regression.of_part(part)
        suite = ElementTree.SubElement(
            root, "testsuite", name=part, tests=str(len(findings)),
            failures=str(sum(f.fails for f in findings)), errors="0",
            skipped=str(sum(_is_skipped(f) for f in findings)),
        )  # fmt: skip
        for finding in findings:
            name = _xml(f"{finding.row}: {finding.metric}")
            place = _xml(f"{regression.suite}.{part}")
            case = ElementTree.SubElement(suite, "testcase", classname=place, name=name, time="0")
            if finding.fails:
                failure = ElementTree.SubElement(case, "failure", message=_xml(told_of(finding)))
                failure.set("type", finding.verdict)
            elif _is_skipped(finding):
                why = finding.told or finding.verdict
                ElementTree.SubElement(case, "skipped", message=_xml(why))
    ElementTree.indent(root, " ")
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def to_github(regression: Regression) -> str:
    """A line for each regression, which GitHub shows beside the change; else one that it passed."""
    lines = [
        f"::error title={_property(f'{f.row}: {f.metric} {f.verdict}')}::{_message(told_of(f))}"
        for f in regression.failing
    ]
    lines += [
        f"::notice title={_property(f'{f.row}: {f.metric} better')}::{_message(told_of(f))}"
        for f in regression.findings
        if f.verdict == "better"
    ]
    title = _property(f"sobench check {regression.suite}")
    level = "error" if regression.failing else "notice"
    return (
        "\n".join([*lines, f"::{level} title={title}::{_message(conclusion(regression))}"]) + "\n"
    )


def told_of(finding: Finding) -> str:
    """A finding in a sentence."""
    parts = [f"{finding.row}: {finding.metric} is {finding.verdict}"]
    if finding.baseline is not None and finding.now is not None:
        parts.append(
            f"baseline {shown(finding, finding.baseline)}, now {shown(finding, finding.now)}, "
            f"tolerance {shown_tolerance(finding, finding.tolerance)}"
        )
    return "; ".join([*parts, *filter(None, [finding.told])])


FORMATS: dict[str, tuple[str, Callable[[Regression], str]]] = {
    "json": ("json", to_json),
    "junit": ("xml", to_junit),
    "github": ("txt", to_github),
}
"""Name -> the ending of its files, and the text."""


def _is_skipped(finding: Finding) -> bool:
    return finding.verdict in ("not compared", "too coarse")


def _xml(text: str) -> str:
    """The text without what XML cannot hold even escaped."""
    return printable(text).replace("\ufffe", "").replace("\uffff", "")


def _message(text: str) -> str:
    # As GitHub's own toolkit escapes what a command is told.
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
