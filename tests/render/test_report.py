"""The page of a report: its figures, what it leaves out, and that no text of the data does anything."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import html

from nerbert.errors import InputError, visible
from nerbert.evaluation.report.report import Report, make_report
from nerbert.formats.conll import example_of, write_conll
from nerbert.render.report import report_page
from nerbert.tagger.summary import ExportedGraph, ModelSummary
from nerbert.tagger.tagger import Tagger
from nerbert.terminal import percent
from tests.commands import exit_code
from tests.evaluation.report.answers import GOLD, RIGHT, WRONG, told
from tests.pages import tables_of, text_of
from tests.raised import raises
from tests.render.checks import check_page

EVIL = "</p><script>alert(1)</script><img src=x onerror=alert(1)>\"'&&lt;\u202eabc\u2066\x1b[31m\x9b-->{{7*7}}"
"""A single word."""
MODEL = ModelSummary(
    name="m",
    head="linear",
    types=[],
    labels_at_run_time=False,
    scoring="",
    architecture="bert",
    layers=1,
    width=8,
    parameters=1234567,
    bytes=10,
    exports={"int8": ExportedGraph(2_000_000, 0.5, 0.987, 0.004, -0.001, 0.009)},
    card={},
)


@pytest.fixture(scope="module")
def report() -> Report:
    return make_report(told(**WRONG), GOLD, against=told(**RIGHT), train=GOLD[:1], command="nerbert report a b")


def section(page: str, name: str) -> str:
    tree: Any = html.document_fromstring(page)
    found = tree.xpath(f"//section[@id='{name}']")
    return " ".join(" ".join(found[0].itertext()).split()) if found else ""


def test_the_figures_are_on_the_page(report: Report) -> None:
    page = report_page(report)
    assert not check_page(page).xpath("//th[not(@scope)]")
    score, low = report.judgement.score, report.judgement.interval.low
    overall, _, difference, by_type, *_ = tables_of(page)
    assert overall[3][:2] == ["F1", percent(score.f1)]
    assert overall[3][2].startswith(percent(low))
    assert difference[1][:5] == ["all", "5", "100.00", percent(score.f1), f"{100 * (score.f1 - 1):+.2f}"]
    assert by_type[1][:6] == ["ship", "4", "2", "50.00", "25.00", "33.33"]
    assert "F1 is 22.22 %: 1 entity of 5 annotated ones found, and 3 wrong ones." in section(page, "overall")
    assert "Mistakes by entity: 0 fixed, 5 broken, 0 changed" in section(page, "difference")
    assert "too close to call" in section(page, "difference")
    shown = section(page, "sentences")
    for said in (
        "Fram ship · wrong type",
        "Fram port 0.85 · wrong type",
        "New Oslo port · wrong words",
        "Oslo port 0.95 · wrong words",
        "Nobody ship 0.30 · spurious",
        "Belgica ship · missed",
    ):
        assert said in shown, said
    assert percent(report.judgement.calibration.ece) in section(page, "calibration")  # type: ignore[union-attr]
    assert "seen in training" in section(page, "overall")
    assert "nerbert report a b" in section(page, "making")
    assert "second tagger: told, legal decoding, temperature 1.000, no thresholds" in section(page, "making")


def test_parts_without_facts_are_left_out(report: Report) -> None:
    page = report_page(replace(report, comparison=None))
    assert not re.search(r'id="(difference|learning|gates)"', page)
    assert not re.search(r'href="#(difference|learning|gates)"', page)
    old = {
        "f1_before": 0.8,
        "f1_after": 0.79,
        "loss": [-0.01, 0.015],
        "sentences": 30,
        "entities": 70,
        "labelled": True,
        "max_loss": 0.02,
        "verdict": "passed",
    }
    card = {
        "old_types": old,
        "forgetting": {"texts": 600, "before": 0.2, "after": 0.19},
        "licence": "MIT",
        "data": {"name": "d", "sentences": 7, "sha256": {"train.conll": "abc"}},
    }
    page = report_page(replace(report, card=card, model=MODEL, learning=((5, 0.1), (10, 0.4))))
    gates, making = section(page, "gates"), section(page, "making")
    for said in (
        "passed",
        "was 80.00 and is 79.00",
        "-1.50 to +1.00 points",
        "30 sentences with 70 entities",
        "600 texts of open types was 20.00 before",
        "onnx int8 2.0 MB 50.00 -0.40 -0.90 to +0.10 98.70",
    ):
        assert said in gates, said
    assert "d, 7 sentences; SHA-256: train.conll abc" in making
    assert "MIT" in making
    assert "10 steps: 40.00 %" in section(page, "learning")


@pytest.mark.parametrize("card", [{"old_types": {"loss": "x"}}, {"old_types": {"verdict": "passed"}}])
def test_a_card_that_nerbert_did_not_write_is_refused(report: Report, card: dict[str, object]) -> None:
    with raises(InputError, words=f"{report.name}: its nerbert.json is not as nerbert writes it"):
        report_page(replace(report, card=card))


@pytest.mark.parametrize(
    "card",
    [
        {"data": {"name": EVIL, "sha256": [3]}},
        {"log": {}, "licence": [EVIL]},
        {"forgetting": {"texts": EVIL}},
        {"encoder": {"name": EVIL}},
    ],
)
def test_what_a_card_says_is_only_shown(report: Report, card: dict[str, object]) -> None:
    check_page(report_page(replace(report, card=card)))


def test_what_the_data_holds_is_only_shown() -> None:
    words = [EVIL, "x" * 10_000, "שלום", *["word"] * 1000]
    gold = [example_of(words, [f"B-{EVIL}", "B-long", "O", *["O"] * 1000]), example_of(["שלום", "x"], ["B-long", "O"])]
    answers = {EVIL: [(0, 3, f"{EVIL}2", 0.9)], "שלום": [(1, 2, EVIL, 0.5)]}
    tagger = told([EVIL, f"{EVIL}2", "long"], **{gold[0].text: answers[EVIL], gold[1].text: answers["שלום"]})
    page = report_page(make_report(tagger, gold, against=told(), command=EVIL))
    check_page(page)
    assert visible(EVIL) in text_of(page)
    assert 'dir="rtl"' in page.partition("</style>")[2]
    assert len(page) < 200_000
    assert "x" * 400 not in text_of(page)


def test_a_large_report_is_bounded() -> None:
    gold = [example_of([f"w{n}", "y"], [f"B-t{n % 200}", "O"]) for n in range(3_000)]
    answers = {each.text: [(1, 2, f"t{n % 200}", 0.9)] for n, each in enumerate(gold) if n % 2}
    types = [f"t{n}" for n in range(200)]
    page = report_page(make_report(told(types, **answers), gold, against=told(types)))
    assert "30 of 1,500 sentences are here; 1,470 are left out." in section(page, "sentences")
    assert "10 of 1,500 sentences are here; 1,490 are left out." in section(page, "sentences")
    assert "15 of 1,500 sentences are here; 1,485 are left out." in section(page, "difference")
    assert "170 rarer types without such a table." in section(page, "thresholds")
    assert len(page) < 600_000


@pytest.mark.parametrize(("sentences", "answers"), [(GOLD[2:3], {}), (GOLD[:1], {}), (GOLD[:1], RIGHT), (GOLD, RIGHT)])
def test_pages_of_little(sentences: list[object], answers: dict[str, object]) -> None:
    page = report_page(make_report(told(**answers), sentences))  # type: ignore[arg-type]
    check_page(page)
    assert ("Nothing was found, so there are no confidences." in page) == (not answers)
    assert ("Nothing is annotated, and nothing was found." in page) == (sentences == GOLD[2:3])
    assert "No found entity is wrong." in page


def test_the_command_writes_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gold, page, folder = tmp_path / "gold.conll", tmp_path / "report.html", tmp_path / "tagger"
    write_conll(gold, GOLD)
    folder.mkdir()
    (folder / "nerbert.json").write_text('{"format": 1, "kind": "tagger", "word_splitter": "unicode-words-1"}')
    monkeypatch.setattr(Tagger, "load", lambda *_, **__: told(**WRONG))
    assert exit_code("report", folder, gold, "-o", page, "--against", folder, "--overlaps", "longest") == 0
    assert capsys.readouterr().out == f"{page}\n"
    command = f"nerbert report {folder} {gold} --against {folder} --overlaps longest -o {page}"
    assert command in section(page.read_text(), "making")
    before = page.read_bytes()
    for wrong, said in (
        ((folder, gold, "-o", page), "exists already; choose another place or pass --overwrite"),
        ((folder, gold, "-o", tmp_path / "no" / "x.html"), "no such folder"),
        ((folder, tmp_path / "no.conll", "-o", page, "--overwrite"), "no such file or folder"),
        ((tmp_path / "no", gold, "-o", page, "--overwrite"), "no such folder"),
        ((folder, gold, "-o", page, "--overwrite", "--labels", "x=y"), "the data has no type 'x'"),
        ((folder, gold, "-o", page, "--overwrite", "--min-confidence", "much"), "must be a number"),
    ):
        assert exit_code("report", *wrong) == 1
        assert said in capsys.readouterr().err
        assert page.read_bytes() == before
    gold.write_text('{"text": "x", "entities": [], "asked": []}\n')
    assert exit_code("report", folder, gold, "-o", page, "--overwrite") == 1
    assert "is of open types" in capsys.readouterr().err
