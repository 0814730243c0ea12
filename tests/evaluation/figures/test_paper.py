"""The figures of NER-BERT's paper: what they take from a corpus and from results, and what they draw."""

import re
from pathlib import Path

import numpy as np
import pytest

from nerbert.corpus.shards import read_manifest, sentence_batches
from nerbert.errors import InputError, SettingsError
from nerbert.evaluation.figures import category_counts, few_labels_of, read_results
from nerbert.render.figures import draw_categories, draw_maps, styles_of
from tests.commands import exit_code
from tests.evaluation.figures.test_frontier import folder_with, record
from tests.raised import raises

Output = pytest.CaptureFixture[str]
RUNS = [record("A", "ships", size, value, draw) for size, values in (("5", (0.2, 0.3, 0.4)), ("all", (0.8, 0.8, 0.8)))
        for draw, value in enumerate(values, 1)]  # fmt: skip
RECORDS = [
    *RUNS, *(record("B & <i>", "ships", size, 0.1) for size in ("all", "10%", "5")), record("A", "ports", "5", 0.6),
    record("A", "ships", "5", 0.9, type="x"), record("paper", "ships", "5", 0.9, state="published"),
    record("B & <i>", "ports", "5", "", metric="", state="failed"),
]  # fmt: skip


def test_the_entities_are_those_of_the_shards(sample_corpus: Path) -> None:
    names, counts = category_counts(sample_corpus)
    before, after = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for name in read_manifest(sample_corpus)["shards"]:
        for batch in sentence_batches(sample_corpus / name, ("mentions", "split", "copies")):
            for row in batch.to_pylist():
                for mention in row["mentions"] if row["split"] == "train" else ():
                    before[mention["category"]] += 1
                    after[mention["category"]] += row["copies"]
    assert counts == {"before sampling": list(before.values()), "after sampling": list(after.values())}
    assert counts["before sampling"] == sorted(before.values(), reverse=True)


@pytest.mark.extras
def test_a_curve_has_the_means_and_intervals_of_the_runs(tmp_path: Path) -> None:
    curves = few_labels_of(read_results(folder_with(tmp_path, RECORDS), "frontier"))
    five = curves["ships"]["A"]["5"]
    assert (list(curves["ships"]["A"]), five.n) == (["5", "all"], 3)
    assert curves.keys() == {"ships"}, "one size is no curve"
    assert five.mean == pytest.approx(0.3)
    assert five.interval == pytest.approx((0.3 - 4.302653 * 0.1 / 3**0.5, 0.3 + 4.302653 * 0.1 / 3**0.5))
    assert curves["ships"]["B & <i>"]["5"].interval is None
    none = record("A", "ships", "5", "", metric="", state="not_run")
    with raises(InputError, words="nothing to draw: no system has runs at several sizes of a target"):
        few_labels_of(read_results(folder_with(tmp_path, [none]), "frontier"))


def test_results_of_several_protocols_are_drawn_one_by_one(tmp_path: Path) -> None:
    folder_with(tmp_path, [*RUNS, *(row | {"protocol": "other", "value": "0.9"} for row in RUNS)], "few.csv")
    with raises(SettingsError, words="few.csv: --protocol '': must be one of default, other"):
        read_results(tmp_path, "few")
    curve = few_labels_of(read_results(tmp_path, "few", "other"))["ships"]["A"]
    assert [round(curve[size].mean, 9) for size in ("5", "all")] == [0.9, 0.9]


@pytest.mark.extras
@pytest.mark.parametrize("kind", ["svg", "png"])
def test_the_command_draws_all_places(sample_corpus: Path, tmp_path: Path, kind: str, capsys: Output) -> None:
    results = tmp_path / "results"
    results.mkdir()
    folder_with(results, RECORDS, "few.csv")
    command = ("figures", "paper", sample_corpus, results, "-o", tmp_path / "out", "--suite", "few", "--kind", kind)
    assert exit_code(*command) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.stem for path in paths] == ["1-categories", "8-all-categories", "2-few-labels"]
    first = [path.read_bytes() for path in paths]
    assert exit_code(*command) == 0
    assert [path.read_bytes() for path in paths] == first
    if kind == "svg":
        texts = [each.decode() for each in first]
        assert all(f">{name}<" in texts[0] for name in ("before sampling", category_counts(sample_corpus)[0][0]))
        assert re.findall(r">(all|10%|5)</text>", texts[2])[:3] == ["5", "10%", "all"]
        assert all(f">B &amp; &lt;i&gt;{words}<" in texts[2] for words in ("", " less A (right axis)"))
        assert "mathdefault" not in "".join(texts)


@pytest.mark.extras
def test_every_fourth_category_is_named_and_every_type_has_a_look(tmp_path: Path) -> None:
    names = [f"c{number}." for number in range(10)]
    draw_categories(names, {"before": range(10, 0, -1), "after": range(1, 11)}, tmp_path / "1.svg")
    assert re.findall(r">(c\d)\.<", (tmp_path / "1.svg").read_text()) == ["c0", "c4", "c8"]
    draw_maps(names * 2, {"encoder": np.zeros((20, 2))}, tmp_path / "2.svg")
    drawn = (tmp_path / "2.svg").read_text()
    assert all(f">{name}<" in drawn for name in names)
    assert len(set(styles_of(map(str, range(17))).values())) == 17, "of science"


def test_a_folder_that_is_neither_is_one_line(tmp_path: Path, capsys: Output) -> None:
    assert exit_code("figures", "paper", tmp_path, "-o", tmp_path / "out") == 1
    assert "no corpus, and no results with ner_bert.csv" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
