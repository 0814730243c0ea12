"""Corpus steps that only these tests know go through `corpus build`, in this process and in workers."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from nerbert.cli import main
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import read_manifest, read_sentences
from nerbert.corpus.steps import _TAKEN
from nerbert.registry import STEPS
from tests.extending.toys import step_toy

TOYS = "tests.extending.toys.step_toy"
USUAL = list(CorpusSettings().steps)
PAGE = Path(__file__).parents[2] / "docs" / "extending" / "corpus-step.md"


def placed(*own: str, before: str = "split") -> list[str]:
    """Return the usual list of steps with some of one's own before one of them."""
    place = USUAL.index(before)
    return [*USUAL[:place], *own, *USUAL[place:]]


def build(sample: Path, output: Path, *own: str, workers: int = 1, steps: Sequence[str] = ()) -> int:
    """Build the sample's corpus of several parts with steps of one's own; return the exit code."""
    options = {"min_mentions": 5, "split_bytes": 40_000, "steps": json.dumps(steps or placed(*own))}
    with pytest.raises(SystemExit) as stop:
        main(["corpus", "build", str(sample / "wiki.xml"), "--knowledge", str(sample / "knowledge"),
              "-o", str(output), "--workers", str(workers),
              *(word for name, value in options.items() for word in ("--set", f"{name}={value}"))])  # fmt: skip
    return int(stop.value.code or 0)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows_of(corpus: Path) -> dict[str, dict[str, Any]]:
    return {step["step"]: step for step in read_manifest(corpus)["steps"]}


@pytest.fixture(scope="module")
def built(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus built with both toys and two workers."""
    output = tmp_path_factory.mktemp("steps") / "corpus"
    assert build(sample, output, f"{TOYS}:ShortSentences", f"{TOYS}:SmallPages", workers=2) == 0
    return output


def test_one_worker_and_two_give_the_same_bytes(built: Path, sample: Path, tmp_path: Path) -> None:
    assert build(sample, tmp_path / "out", f"{TOYS}:ShortSentences", f"{TOYS}:SmallPages") == 0
    assert digests(tmp_path / "out") == digests(built)
    assert len(list((built / "sentences").iterdir())) > 1


def test_names_of_the_builds_own_rows_are_taken(built: Path) -> None:
    assert {*rows_of(built)} - {"length", "pages' sizes"} < _TAKEN


def test_what_a_step_drops_is_counted_and_kept_to_be_read(built: Path) -> None:
    rows = rows_of(built)
    names = list(rows)
    assert names[names.index("no link") + 1 : names.index("split")] == ["length", "pages' sizes"]
    for name, reason, before in (("length", "too_short", "no link"), ("pages' sizes", "small_page", "length")):
        assert rows[name]["in"] == rows[before]["out"]
        assert list(rows[name]["dropped"]) == [reason]
        assert rows[name]["out"] == rows[name]["in"] - rows[name]["dropped"][reason] > 0
    assert rows["split"]["in"] == rows["pages' sizes"]["out"]
    dropped = [json.loads(line) for line in (built / "dropped.jsonl").read_text().splitlines()]
    counts = Counter(line["step"] for line in dropped)
    assert counts["length"] == counts["pages' sizes"] == 20
    assert all(len(line["text"].split()) < step_toy.FEWEST_WORDS for line in dropped if line["step"] == "length")
    assert read_manifest(built)["settings"]["steps"] == placed(f"{TOYS}:ShortSentences", f"{TOYS}:SmallPages")


def test_the_corpus_holds_what_the_steps_kept(built: Path, sample: Path, tmp_path: Path) -> None:
    sentences = list(read_sentences(built))
    assert all(len(sentence.words) >= step_toy.FEWEST_WORDS for sentence in sentences)
    assert all(sentence.title == sentence.title.upper() for sentence in sentences)
    assert build(sample, tmp_path / "out") == 0
    plain = rows_of(tmp_path / "out")
    assert "length" not in plain
    assert plain["no link"] == rows_of(built)["no link"]
    assert read_manifest(tmp_path / "out")["settings"]["steps"] == USUAL


def test_a_step_goes_anywhere_in_the_list(sample: Path, tmp_path: Path) -> None:
    counting, keeping = f"{TOYS}:SmallPages", f"{TOYS}:ShortSentences"
    first, last = [counting, *placed(keeping, before="filter 2")], [*placed(keeping, before="typing"), counting]
    for name, steps in (("first", first), ("last", last)):
        assert build(sample, tmp_path / name, steps=steps, workers=2) == 0
        rows = list(rows_of(tmp_path / name).values())[4:]
        own = {counting: "pages' sizes", keeping: "length"}
        named = [own.get(step, step) for step in steps if step not in ("typing", "sampling")]
        assert [row["step"] for row in rows] == named
        assert all(one["out"] == other["in"] for one, other in pairwise(rows))
        assert all(row["dropped"] for row in rows if row["step"] in own.values())
        assert len(list(read_sentences(tmp_path / name))) == rows[-1]["out"]


def test_before_typing_links_may_go_but_not_lead_elsewhere(sample: Path, tmp_path: Path, capsys: Any) -> None:
    assert build(sample, tmp_path / "out", steps=placed(f"{TOYS}:Relinks", before="typing")) == 1
    assert "a corpus step before typing made a link to 'Nowhere'; it may only drop links" in capsys.readouterr().err
    assert build(sample, tmp_path / "out", steps=placed(f"{TOYS}:LosesAColumn", before="typing")) == 1
    assert "a corpus step changed the columns" in capsys.readouterr().err


def test_pages_for_people_name_the_step_and_its_reason(built: Path, tmp_path: Path, capsys: Any) -> None:
    for words in (
        ["corpus", "show", str(built)],
        ["corpus", "show", str(built), "--html", str(tmp_path / "page.html")],
    ):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert not stop.value.code
    assert "too_short" in capsys.readouterr().out
    for text in ((tmp_path / "page.html").read_text(), (built / "README.md").read_text()):
        assert "length" in text
        assert "too short" in text


def test_a_registered_name_is_a_step_too(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(STEPS, "_known", dict(STEPS._known))
    STEPS.register("short", step_toy.ShortSentences)
    assert build(sample, tmp_path / "out", "short", workers=2) == 0
    assert rows_of(tmp_path / "out")["length"]["dropped"]["too_short"] > 0


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (["FiltersItself"], r"corpus step 'wrong': (\d+) rows in, \d+ out, 0 reasons: the numbers must be equal"),
        (["SaysTrue"], r"corpus step 'wrong': reason True: must be a text, or None to keep a row"),
        (["LosesAColumn"], r"a corpus step changed the columns \(.*/docs/formats\.md\): .*title"),
        (["ReturnsRowsAlone"], r"corpus step 'wrong': apply must return the rows and a list of reasons"),
        (["ReturnsNone"], r"corpus step 'wrong': apply must return the rows and a list of reasons"),
        (["PreparesNothing"], r"corpus step 'wrong': prepare must return the step to apply"),
        (["ForgetsTitles"], r"a corpus step left rows without title; give each a value"),
        (
            ["NoStep"],
            r"must have a method `apply\(rows\)`, `open\(part\)` or `prepare\(upstream\)`, and a `name` that .*'wrong'",
        ),
        (["TakesAName"], r"must have a .*`name` that no other step has; it has 'filter 2'"),
        (["ShortSentences", "ShortSentences"], r"must have a .*`name` that no other step has; it has 'length'"),
        (["Missing"], r"corpus step 'tests\.extending\.toys\.step_toy:Missing': module .* has no attribute 'Missing'"),
    ],
)
def test_what_is_no_step_is_refused(steps: list[str], message: str, sample: Path, tmp_path: Path, capsys: Any) -> None:
    assert build(sample, tmp_path / "out", *(f"{TOYS}:{name}" for name in steps)) == 1
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([*USUAL, "short"], "'sampling', or your own as module:name"),
        (USUAL[1:], "must be a list with all of exclude, (propagation), no link, typing, "),
        (USUAL[::-1], "each once, in this order"),
        ([*USUAL, "split"], "each once, in this order"),
    ],
)
def test_a_list_of_other_steps_is_refused(
    steps: list[str], message: str, sample: Path, tmp_path: Path, capsys: Any
) -> None:
    assert build(sample, tmp_path / "out", steps=steps) == 1
    said = capsys.readouterr().err
    assert "setting steps = [" in said
    assert message in said


def test_the_how_tos_example_runs(sample: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / "short.py").write_text(next(text for name, text in blocks if name == "python"))
    (tmp_path / "dump.xml").symlink_to(sample / "wiki.xml")
    (tmp_path / "knowledge").symlink_to(sample / "knowledge")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    search = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = next(text for name, text in blocks if name == "bash")
    environment = os.environ | {"PATH": path, "PYTHONPATH": search}
    done = subprocess.run(
        ["bash", "-euc", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert rows_of(tmp_path / "corpus")["short"]["dropped"]["too_few_words"] > 0
