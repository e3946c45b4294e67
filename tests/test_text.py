from __future__ import annotations

import pytest

from sobench.text import is_printable, plain, printable, quoted, shortened

OBEYED = {
    "\x1b[2J": "\\x1b[2J",
    "\x07\x00\r\n\t": "\\x07\\x00\\r\\n\\t",
    "\x7f\x9b": "\\x7f\\x9b",
    "\u202eabc\u2069": "\\u202eabc\\u2069",
    "a\u2028b": "a\\u2028b",
    "\ud800": "\\ud800",
    "\U000e0041": "\\U000e0041",
}


@pytest.mark.parametrize(("text", "shown"), OBEYED.items(), ids=ascii)
def test_what_a_terminal_obeys_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert not is_printable(text)
    shown.encode()


def test_words_of_every_language_stay() -> None:
    text = "größer 信号 \U0001f6a6 نص \u200d [/x] 50 % ±"
    assert printable(text) == text
    assert is_printable(text)
    assert printable("a\nb\tc", keep="\n") == "a\nb\\tc"


def test_long_text_keeps_beginning_and_end() -> None:
    assert shortened("a" * 80) == "a" * 80
    short = shortened("begin" + "x" * 10**6 + "end")
    assert len(short) == 80
    assert short.startswith("beginx")
    assert short.endswith("xend")
    assert "..." in short


def test_quoted_is_one_short_line() -> None:
    assert quoted("a") == "'a'"
    assert quoted(3) == "'3'"
    assert quoted("\x1b\ud800\u202e") == r"'\x1b\ud800\u202e'"
    assert len(quoted("x" * 10**6)) == 82


def test_plain_is_one_short_line_without_quotes() -> None:
    assert plain("a\nb") == r"a\nb"
    assert plain(3) == "3"
    assert len(plain("x" * 10**6)) == 80
    assert len(plain("x" * 10**6, 99)) == 99
