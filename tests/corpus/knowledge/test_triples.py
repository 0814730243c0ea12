import re

import pytest

from nerbert.corpus.knowledge import claims as triples
from nerbert.corpus.knowledge.claims import is_other_triple


@pytest.mark.parametrize(
    ("line", "is_triple"),
    [
        ("<a> <b> <c> .", True), ('<a><b>"c . d"@en .  ', True), ("_:a <b> _:c .", True), ("_:a<b>_:c.", True),
        ("# x", True), ("@prefix x", True),
        ("<a> <b> <c>", False), ("<a> <b> .", False), ("_: <b> <c> .", False), ("a b c .", False), ("", False),
        ("_:" + "<a>" * 10, False), ("<a> <b> <c> . x", False),
    ],
)  # fmt: skip
def test_triples_are_told(line: str, is_triple: bool) -> None:
    assert is_other_triple(line) == is_triple


def test_no_line_is_read_twice() -> None:
    """Every repetition in the expression keeps what it took, so a line costs no more than its length."""
    plain = re.sub(r"\[[^\]]*\]|\\.|\(\?:", "", triples._TRIPLE.pattern)
    assert not set("*+?{") & set(re.sub(r"[*+?]\+", "", plain))
