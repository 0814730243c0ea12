import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

import nerbert
from nerbert.artifacts import sha256_of
from nerbert.data.catalogue import find_duplicates
from nerbert.data.splits import read_data
from nerbert.errors import InputError, SettingsError
from nerbert.evaluation.evaluate import Evaluation, evaluate, tagger_folders
from nerbert.formats.conll import example_of, write_conll
from nerbert.formats.documents import Reading
from nerbert.labels import example_tags
from nerbert.metrics.judging import assess, seen_entities
from nerbert.metrics.score import Counts
from nerbert.render.terminal import print_evaluation
from nerbert.tagger.tagger import Tagger
from nerbert.words import SPLITTER
from tests.commands import exit_code
from tests.examples import read_examples
from tests.raised import raises
from tests.tagger.test_answering import fixed
from tests.tagger.test_labels import NamesHead

Printed = Callable[[Evaluation], str]
GOOD = assess([["B-a", "O"]], [["B-a", "O"]])
BAD = assess([["B-a", "O"]], [["O", "B-a"]], confidences=[[1.0, 0.75]])


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    def text_of(evaluation: Evaluation) -> str:
        print_evaluation(evaluation, as_json=False)
        return capsys.readouterr().out

    return text_of


def test_all_is_judged_from_raw_tags(tiny_tagger: Path, sample: Path) -> None:
    test, train = sample / "domain" / "test.conll", read_examples(sample / "domain" / "train.conll")
    examples = read_examples(test)
    found = Tagger.load(tiny_tagger).tag_examples(examples)
    wanted = assess(
        [example_tags(each) for each in examples],
        [each.tags for each in found],
        confidences=[each.confidences for each in found],
        words=[each.tokens for each in examples],
        seen=seen_entities(train),
        without=find_duplicates(train, examples),
    ).as_json()
    result = evaluate(tiny_tagger, test, train=sample / "domain")
    assert next(iter(result.judgements.values())).as_json() == wanted
    assert result.f1_mean == wanted["micro"]["f1"] > 0
    assert (result.f1_sd, result.unknown_types, result.sentences) == (0.0, (), len(examples))


def test_test_sentences_of_train_are_left_out(
    tiny_tagger: Path, sample: Path, tmp_path: Path, printed: Printed
) -> None:
    test = read_examples(sample / "domain" / "test.conll")
    repeated = next(each for each in test if len(each.words) >= 8 and each.spans)
    write_conll(tmp_path / "train.conll", [repeated, example_of(["Ada"], ["O"])])
    write_conll(tmp_path / "rest.conll", [each for each in test if each != repeated])
    result = evaluate(tiny_tagger, sample / "domain" / "test.conll", train=tmp_path / "train.conll")
    (judged,) = result.judgements.values()
    (rest,) = evaluate(tiny_tagger, tmp_path / "rest.conll").scores.values()
    assert (judged.left_out, judged.without) == (1, Counts(rest.right, rest.predicted, rest.gold))
    out = printed(result)
    for words in ("without repeats", "1 test sentence of 8 or more words occurs in train", "unseen in train"):
        assert words in out


def test_other_training_data_is_noted(tiny_tagger: Path, sample: Path, tmp_path: Path, printed: Printed) -> None:
    domain, other = sample / "domain", tmp_path / "other.conll"
    other.write_bytes((domain / "train.conll").read_bytes() + b"\nAda\tO\n")
    for train, noted in ((domain, []), (domain / "train.conll", []), (other, [tiny_tagger.name]), (None, [])):
        result = evaluate(tiny_tagger, domain / "dev.conll", train=train)
        assert result.as_json()["trained_on_other"] == noted
        said = "".join(printed(result).split())  # a long path is folded where the terminal ends
        assert (f"trainedonotherdatathan--train{other}" in said) == bool(noted)


def test_a_score_on_what_was_learnt_is_noted(tiny_tagger: Path, sample: Path, tmp_path: Path, printed: Printed) -> None:
    file = tmp_path / "all.conll"
    write_conll(file, read_examples(sample / "domain" / "dev.conll")[:30])
    tagger = shutil.copytree(tiny_tagger, tmp_path / "tagger")
    card = json.loads((tagger / "nerbert.json").read_text())
    learnt = {"sha256": {"all.conll": sha256_of(file)}, "split": "60/20/20", "split_seed": 1}
    (tagger / "nerbert.json").write_text(json.dumps(card | {"data": learnt}))
    same, other, thirds = (("60/20/20", 1), ("60/20/20", 2), ("30/30/40", 1))
    for (split, seed), noted in ((same, []), (other, ["tagger"]), (thirds, ["tagger"]), (("", 0), ["tagger"])):
        for judge in (tagger, Tagger.load(tagger)):
            result = evaluate(judge, file, reading=Reading(split=split, split_seed=seed))
            assert result.as_json()["trained_on_file"] == noted, split
        assert ("so these scores are too high" in " ".join(printed(result).split())) == bool(noted)
    assert evaluate(tagger, sample / "domain" / "test.conll").learnt_gold == ()
    with raises(InputError, words="all.conll: --split 80/20 cuts no test split"):
        evaluate(tagger, file, reading=Reading(split="80/20"))


def test_a_card_that_does_not_say_what_it_was_trained_on(tiny_tagger: Path, sample: Path, tmp_path: Path) -> None:
    tagger = shutil.copytree(tiny_tagger, tmp_path / "tagger")
    card = json.loads((tagger / "nerbert.json").read_text())
    write_conll(tmp_path / "test.conll", read_examples(sample / "domain" / "dev.conll")[:1])
    unclear: list[object] = [None, "x", {}, {"sha256": "x"}, {"sha256": {"train.conll": 1}}, {"sha256": {}}]
    for data in unclear:
        (tagger / "nerbert.json").write_text(json.dumps(card | {"data": data}))
        assert evaluate(tagger, tmp_path / "test.conll", train=sample / "domain").other_train == (), data


def test_a_loaded_tagger_is_judged_as_its_folder_is(tiny_tagger: Path, sample: Path) -> None:
    gold, train = sample / "domain", [example_of(["Oslo"], ["B-place"])]
    folder = evaluate(str(tiny_tagger), gold, train=train, decoding="greedy")
    tagger = Tagger.load(tiny_tagger, decoding="greedy")
    loaded = evaluate(tagger, read_data(gold, ["test"]), train=train)
    assert list(folder.judgements.values()) == list(loaded.judgements.values())
    assert folder.other_train == (tiny_tagger.name,)
    assert loaded.other_train == ("tagger",)


def test_of_a_data_folder_the_test_part_is_taken(tiny_tagger: Path, sample: Path, tmp_path: Path) -> None:
    result = evaluate(tiny_tagger, sample / "domain")
    assert result == evaluate(tiny_tagger, sample / "domain" / "test.conll")
    assert result.file.endswith("test.conll")
    with raises(InputError, words="holds no test split, say "):
        evaluate(tiny_tagger, tmp_path)


def test_mean_and_deviation_over_seeds(tiny_tagger: Path, tiny_encoder: Path, sample: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_tagger, tmp_path / "seed-2")
    shutil.copytree(tiny_encoder, tmp_path / "seed-10")
    result = evaluate(tmp_path, sample / "domain" / "dev.conll")
    figures = [score.f1 for score in result.scores.values()]
    assert list(result.scores) == ["seed-2", "seed-10"]
    assert figures[0] != figures[1]
    assert (result.f1_mean, result.f1_sd) == (mean(figures), stdev(figures))
    (tmp_path / "seed-10" / "nerbert.json").unlink()
    with raises(InputError, words="seed-10: not a complete tagger"):
        tagger_folders(str(tmp_path))


def test_unknown_types_are_missed_and_named(tiny_tagger: Path, tmp_path: Path, printed: Printed) -> None:
    (tmp_path / "gold [b].conll").write_text("The\tO\nMargarethe\tB-[/nope]\n")
    result = evaluate(tiny_tagger, tmp_path / "gold [b].conll")
    assert result.unknown_types == ("[/nope]",)
    assert next(iter(result.scores.values())).by_type["[/nope]"].gold == 1
    assert printed(result).count("[/nope]") == 2


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    evaluation = Evaluation("f", 1, {"one": GOOD, "two": BAD}, ("z",), train="t")
    print_evaluation(evaluation, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["taggers"] == {"one": GOOD.as_json(), "two": BAD.as_json()}
    assert (found["precision"], found["recall"], found["f1"]) == (0.5, 0.5, 0.5)
    assert found["over_seeds"]["micro"] == {"mean": 0.5, "sd": found["f1_sd"]}
    assert list(found["over_seeds"]) == ["micro", "macro", "strict", "span", "token"]
    assert (found["unknown_types"], found["sentences"], found["train"]) == (["z"], 1, "t")


def test_the_print_fits_80_columns_and_names_its_rules(printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    types = ["Developing_anatomical_structure", "a", "b"]
    gold = [[f"B-{type_}" for type_ in types]] * 4_000
    judged = assess(
        gold, [tags[::-1] for tags in gold], words=[["x", "y", "z"]] * 4_000, seen={("x", types[0])}, without=[3, 5]
    )
    out = printed(Evaluation("f", 4_000, {"one": judged, "two": GOOD}, ("z",), train="t"))
    assert max(map(len, out.splitlines())) <= 80
    assert out.count("CoNLL script's rules on BIO; percent") == 2
    assert out.count("strict: entity F1, strict IOB2") == 2
    for row in ("all (macro)", "strict (micro)", "spans, any type", "unseen in train", "without repeats"):
        assert f"\n{row} " in out
    assert "mistakes: 8,000 type, 0 boundary, 0 both, 0 missed, 0 spurious" in out
    assert "micro F1, 95% interval: 33.33–33.33 (1,000 bootstrap samples" in out
    assert "ECE" not in out


def test_an_encoder_that_is_not_fine_tuned_is_named(
    tiny_encoder: Path, tiny_tagger: Path, tmp_path: Path, printed: Printed
) -> None:
    (tmp_path / "gold.conll").write_text("The\tO\nMargarethe\tB-no-such\n")
    result = evaluate(tiny_encoder, tmp_path / "gold.conll")
    assert result.as_json()["not_finetuned"] == [tiny_encoder.name]
    assert "made by pretrain, not fine-tuned: its types are the corpus's categories" in printed(result)
    assert evaluate(tiny_tagger, tmp_path / "gold.conll").not_finetuned == ()
    (tmp_path / "gold.conll").write_text("The\tO\n")
    assert evaluate(tiny_encoder, tmp_path / "gold.conll").not_finetuned == ()


def gold_file(folder: Path) -> Path:
    """A ship and a port that are less sure, and a ship that is surer."""
    folder.joinpath("gold.conll").write_text("a\tO\nship\tB-ship\nSHIP\tB-ship\n\nport\tB-port\nleft\tO\n\n")
    return folder / "gold.conll"


def test_what_tag_gives_is_scored(tmp_path: Path, printed: Printed) -> None:
    gold = gold_file(tmp_path)
    for thresholds, predicted in ((None, 3), ({"ship": 0.8}, 2), ({"ship": 0.8, "port": 0.8}, 1)):
        tagger = fixed(thresholds)
        result = evaluate(tagger, gold)
        assert result.scores["tagger"].predicted == predicted
        assert sum(map(len, tagger.tag_many(read_examples(gold)))) == predicted
    line = "scored as `nerbert tag` answers: onnx int8 cpu, legal decoding, temperature 1.000, threshold 0.800"
    assert line in " ".join(printed(result).split())
    assert result.as_json()["answering"]["tagger"]["thresholds"] == {"port": 0.8, "ship": 0.8}


def test_options_of_tag_are_those_of_evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[dict[str, object]]()
    monkeypatch.setattr(Tagger, "load", lambda *_, **options: asked.append(options) or fixed())  # type: ignore[func-returns-value]
    (tmp_path / "nerbert.json").write_text('{"format": 1, "kind": "tagger", "word_splitter": "unicode-words-1"}')
    options = ("--min-confidence", "ship=0.5", "--backend", "onnx", "--precision", "int8", "--decoding", "greedy")
    assert exit_code("evaluate", tmp_path, gold_file(tmp_path), *options) == 0
    assert asked == [
        {"thresholds": {"ship": 0.5}, "backend": "onnx", "precision": "int8", "decoding": "greedy", "head": ""}
    ]


@pytest.mark.parametrize(
    "option",
    [{"backend": "onnx"}, {"precision": "fp32"}, {"thresholds": 0.0}, {"decoding": "legal"}, {"head": "linear"}],
)
def test_a_loaded_tagger_takes_no_option_of_loading(option: dict[str, Any], tmp_path: Path) -> None:
    with raises(SettingsError, words="a loaded one has its own"):
        evaluate(fixed(), gold_file(tmp_path), **option)


@pytest.mark.parametrize("told", [True, False])
def test_types_of_the_data_have_other_names(told: bool, tmp_path: Path, printed: Printed) -> None:
    gold = gold_file(tmp_path)
    gold.write_text(gold.read_text().replace("B-ship", "B-Vessel_Name"))
    tagger = Tagger(NamesHead(), SPLITTER, "en") if told else fixed()
    assert evaluate(tagger, gold).scores["tagger"].right == 1
    result = evaluate(tagger, gold, labels={"Vessel_Name": "ship"})
    assert (result.f1_mean, result.unknown_types, result.asked) == (1.0, (), {"Vessel_Name": "ship"})
    assert "asked for under other names: Vessel_Name = ship\n" in printed(result)
    with raises(SettingsError, words="no type 'Vessel_Nam': did you mean 'Vessel_Name'? (must be"):
        evaluate(tagger, gold, labels={"Vessel_Nam": "ship"})
    with raises(InputError, words="types 'Vessel_Name' and 'port' have the same label, 'port'"):
        evaluate(tagger, gold, labels={"Vessel_Name": "port"})
    if not told:
        with raises(InputError, words="label 'shp' is none of this tagger's fixed types: did you mean 'ship'"):
            evaluate(tagger, gold, labels={"Vessel_Name": "shp"})
        gold.write_text(gold.read_text().replace("B-Vessel_Name", "B-port"))
        with raises(InputError, words="has a type 'port' itself"):
            evaluate(tagger, gold, labels={"port": "ship"})


def test_types_in_another_case_are_named_with_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = gold_file(tmp_path)
    text = gold.read_text()
    gold.write_text(text.replace("B-ship", "B-Ship").replace("B-port", "B-PORT"))
    evaluate(fixed(), gold)
    assert '--labels "PORT=port,Ship=ship" (`labels` in Python) scores them as one' in capsys.readouterr().err
    assert evaluate(fixed(), gold, labels={"PORT": "port", "Ship": "ship"}).f1_mean == 1.0
    assert not capsys.readouterr().err
    gold.write_text(text + "a\tB-SHIP\n")
    evaluate(fixed(), gold)
    assert not capsys.readouterr().err, "the data has both"


GOLD = "[Anna Berg|person] left [Oslo|city] .\nIda [Holm|person] stayed .\n"
PREDICTIONS = {
    "answers.marked": "[Anna Berg|person] left [Oslo|person] .\nIda [Holm|person] stayed .\n",
    "whole.jsonl": json.dumps(
        {
            "text": "Anna Berg left  Oslo.\nIda Holm stayed.",
            "spans": [
                {"start": 0, "end": 9, "type": "person", "confidence": 0.9},
                {"start": 16, "end": 20, "type": "person"},
                {"start": 26, "end": 30, "type": "person", "confidence": 0.4},
            ],
        }
    ),
    "cut.conll": "Anna\tB-person\nBerg\tI-person\n\nleft\tO\nOslo\tB-person\n.\tO\nIda\tO\nHolm\tB-person\n"
    "stayed\tO\n.\tO\n",
}


@pytest.mark.parametrize("name", PREDICTIONS)
def test_a_file_of_predictions_is_scored_without_a_tagger(name: str, tmp_path: Path, capsys: Any) -> None:
    gold, file, page = tmp_path / "gold.marked", tmp_path / name, tmp_path / "page.html"
    gold.write_text(GOLD)
    file.write_text(PREDICTIONS[name])
    assert exit_code("evaluate", file, gold, "--train", gold, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    judged = facts["taggers"][name]
    assert (judged["micro"]["right"], judged["micro"]["predicted"], judged["micro"]["gold"]) == (2, 3, 3)
    assert (judged["errors"]["type"], judged["seen"]["right"], facts["unknown_types"]) == (1, 2, ["city"])
    assert judged["interval"]["low"] < judged["interval"]["high"]
    assert (judged["calibration"] is not None) is (name == "whole.jsonl")
    assert exit_code("report", file, gold, "-o", page) == 0
    assert ("Thresholds</h2>" in page.read_text()) is (name == "whole.jsonl")
    assert "Speed" not in page.read_text()
    if name == "whole.jsonl":
        assert evaluate(file, gold, thresholds=0.5).scores[name].predicted == 2


def test_files_of_predictions_that_do_not_fit(tmp_path: Path) -> None:
    gold, file = tmp_path / "gold.marked", tmp_path / "answers.marked"
    gold.write_text(GOLD)
    for text, there in ((GOLD.replace("left", "met"), "'AnnaBergleftOslo.IdaHolmstay'"), (GOLD + "[x|y]\n", "tayed.'")):
        file.write_text(text)
        with raises(InputError, words=there):
            evaluate(file, gold)
    file.write_text("Anna Berg left [Oslo . Ida|city] Holm stayed [.|city]")
    assert evaluate(file, gold).scores[file.name].predicted == 3, "an entity over a sentence's end is one in each"
    file.write_text(GOLD.replace("[", "").replace("|person]", "").replace("|city]", ""))
    assert evaluate(file, gold).scores[file.name].predicted == 0
    with raises(SettingsError, words="decoding: only for a tagger's folder"):
        evaluate(file, gold, decoding="greedy")


def test_a_threshold_of_no_label_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tagger, "load", lambda *_, **__: Tagger(NamesHead(), SPLITTER, "en"))
    (tmp_path / "nerbert.json").write_text('{"format": 1, "kind": "encoder", "word_splitter": "unicode-words-1"}')
    with raises(SettingsError, words="no type 'shp': did you mean 'ship'"):
        evaluate(tmp_path, gold_file(tmp_path), thresholds={"shp": 0.5})


def test_a_repr_is_one_line_and_a_notebook_has_a_table(tmp_path: Path) -> None:
    evaluation = nerbert.evaluate(fixed({"ship": 0.8}), gold_file(tmp_path))
    assert repr(evaluation) == (
        f"<Evaluation on {tmp_path / 'gold.conll'}, 2 sentences: F1 80.00, precision 100.00, recall 66.67; "
        "onnx int8 cpu, legal decoding, temperature 1.000, threshold 0.800 for 1 of 2 types>"
    )
    seeds = Evaluation("<b>", 1, {"<i>": assess([["B-<u>", "O"]], [["B-<u>", "O"]]), "two": BAD}, ())
    assert "F1 50.00" in repr(seeds)
    assert "(means over 2 seeds)" in repr(seeds)
    page = str(replace(seeds, html=evaluation.html)._repr_html_())
    assert page.count("<table>") == 2
    assert "<th>&lt;u&gt;</th><td>100.00</td>" in page
    assert not any(tag in page for tag in ("<b>", "<i>", "<u>"))
