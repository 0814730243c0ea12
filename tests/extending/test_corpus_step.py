"""Corpus steps that only these tests know go through `corpus build`, in this process and in workers."""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import read_manifest, read_sentences
from nerbert.corpus.steps import _TAKEN
from tests.commands import exit_code
from tests.corpus.test_build import digests
from tests.extending.guides import blocks, module, run_commands
from tests.extending.toys import step_toy

TOYS = "tests.extending.toys.step_toy"
SHORT, SMALL = f"{TOYS}:ShortSentences", f"{TOYS}:SmallPages"
USUAL = list(CorpusSettings().steps)


def placed(*own: str, before: str = "split") -> list[str]:
    """Return the usual list of steps with some of one's own before one of them."""
    place = USUAL.index(before)
    return [*USUAL[:place], *own, *USUAL[place:]]


def build(sample: Path, output: Path, *options: object, steps: Sequence[str] = USUAL) -> int:
    """Build the sample's corpus of several parts; return the exit code."""
    given = ("--set", "min_mentions=5", "--set", "split_bytes=40_000", "--set", f"steps={json.dumps(steps)}")
    return exit_code(
        "corpus", "build", sample / "wiki.xml", "--knowledge", sample / "knowledge", "-o", output, *given, *options
    )


def rows_of(corpus: Path) -> dict[str, dict[str, Any]]:
    return {step["step"]: step for step in read_manifest(corpus)["steps"]}


@pytest.fixture(scope="module")
def built(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus built with both toys and two workers."""
    output = tmp_path_factory.mktemp("steps") / "corpus"
    assert build(sample, output, "--workers", 2, steps=placed(SHORT, SMALL)) == 0
    return output


def test_one_worker_and_two_give_the_same_bytes(built: Path, sample: Path, tmp_path: Path) -> None:
    assert build(sample, tmp_path / "out", "--workers", 1, steps=placed(SHORT, SMALL)) == 0
    assert digests(tmp_path / "out") == digests(built)
    assert len(list((built / "sentences").iterdir())) > 1
    assert {*rows_of(built)} - {"length", "pages' sizes"} < _TAKEN, "names of the build's own rows"


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
    assert read_manifest(built)["settings"]["steps"] == placed(SHORT, SMALL)


def test_the_corpus_holds_what_the_steps_kept(built: Path, sample_corpus: Path) -> None:
    sentences = list(read_sentences(built))
    assert all(len(sentence.words) >= step_toy.FEWEST_WORDS for sentence in sentences)
    assert all(sentence.title == sentence.title.upper() for sentence in sentences)
    assert "length" not in rows_of(sample_corpus)
    assert rows_of(sample_corpus)["no link"] == rows_of(built)["no link"]
    assert read_manifest(sample_corpus)["settings"]["steps"] == USUAL


def test_a_step_goes_anywhere_in_the_list(sample: Path, tmp_path: Path) -> None:
    first, last = [SMALL, *placed(SHORT, before="filter 2")], [*placed(SHORT, before="typing"), SMALL]
    for name, steps in (("first", first), ("last", last)):
        assert build(sample, tmp_path / name, steps=steps) == 0
        rows = list(rows_of(tmp_path / name).values())[4:]
        names = {SMALL: "pages' sizes", SHORT: "length"}
        assert [row["step"] for row in rows] == [
            names.get(step, step) for step in steps if step not in ("typing", "sampling")
        ]
        assert all(one["out"] == other["in"] for one, other in pairwise(rows))
        assert all(row["dropped"] for row in rows if row["step"] in names.values())
        assert len(list(read_sentences(tmp_path / name))) == rows[-1]["out"]


NO_METHOD = "must have a method `apply(rows)`, `open(part)` or `prepare(upstream)`, and a `name` that"


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (placed(f"{TOYS}:FiltersItself"), " out, 0 reasons: the numbers must be equal"),
        (placed(f"{TOYS}:SaysTrue"), "corpus step 'wrong': reason True: must be a text, or None to keep a row"),
        (placed(f"{TOYS}:LosesAColumn"), "a corpus step changed the columns ("),
        (placed(f"{TOYS}:LosesAColumn", before="typing"), "a corpus step changed the columns ("),
        (placed(f"{TOYS}:Relinks", before="typing"), "step before typing made a link to 'Nowhere'; it may only drop"),
        (placed(f"{TOYS}:ReturnsRowsAlone"), "corpus step 'wrong': apply must return the rows and a list of reasons"),
        (placed(f"{TOYS}:ReturnsNone"), "corpus step 'wrong': apply must return the rows and a list of reasons"),
        (placed(f"{TOYS}:PreparesNothing"), "corpus step 'wrong': prepare must return the step to apply"),
        (placed(f"{TOYS}:ForgetsTitles"), "a corpus step left rows without title; give each a value"),
        (placed(f"{TOYS}:NoStep"), NO_METHOD),
        (placed(f"{TOYS}:TakesAName"), "that no other step has; it has 'filter 2'"),
        (placed(SHORT, SHORT), "that no other step has; it has 'length'"),
        (placed(f"{TOYS}:Missing"), "corpus step 'tests.extending.toys.step_toy:Missing': module"),
        ([*USUAL, "short"], "'sampling', or your own as module:name"),
        (USUAL[1:], "must be a list with all of exclude, no link, typing, "),
        (USUAL[::-1], "each once, in this order"),
        ([*USUAL, "split"], "each once, in this order"),
    ],
)
def test_what_is_no_step_is_refused(steps: list[str], message: str, sample: Path, tmp_path: Path, capsys: Any) -> None:
    assert build(sample, tmp_path / "out", steps=steps) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_guides_example_runs(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module("corpus-step.md", "short", tmp_path, monkeypatch)
    commands = blocks("corpus-step.md", "bash")[0]
    Path("steps.toml").write_text(next(line for line in commands.splitlines() if line.startswith("steps = ")))
    Path("dump.xml").symlink_to(sample / "wiki.xml")
    Path("knowledge").symlink_to(sample / "knowledge")
    run_commands(commands)
    assert rows_of(Path("corpus"))["short"]["dropped"]["too_few_words"] > 0
