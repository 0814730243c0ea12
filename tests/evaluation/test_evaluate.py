import json
import shutil
from pathlib import Path
from statistics import mean, stdev

import pytest
from seqeval.metrics import classification_report

from nerbert.errors import InputError
from nerbert.evaluation.evaluate import Evaluation, evaluate, tagger_folders
from nerbert.evaluation.report import print_evaluation
from nerbert.formats.conll import read_conll_file
from nerbert.labels import example_tags
from nerbert.metrics import Counts, Score
from nerbert.tagger.tagger import Tagger


def test_figures_are_those_of_seqeval(tiny_tagger: Path, sample: Path) -> None:
    file = sample / "domain" / "test.conll"
    examples = read_conll_file(file)
    found = [each.tags for each in Tagger.load(tiny_tagger).tag_examples(examples)]
    wanted = classification_report([example_tags(each) for each in examples], found, output_dict=True, zero_division=0)
    result = evaluate(tiny_tagger, file)
    (score,) = result.scores.values()
    assert score.f1 > 0
    assert score.f1 == result.f1_mean == pytest.approx(wanted["micro avg"]["f1-score"])
    assert score.precision == pytest.approx(wanted["micro avg"]["precision"])
    assert score.recall == pytest.approx(wanted["micro avg"]["recall"])
    for name, counts in score.by_type.items():
        assert counts.f1 == pytest.approx(wanted[name]["f1-score"])
        assert counts.gold == wanted[name]["support"]
    assert (result.f1_sd, result.unknown_types, result.sentences) == (0.0, (), len(examples))


def test_mean_and_deviation_over_seeds(tiny_tagger: Path, tiny_encoder: Path, sample: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_tagger, tmp_path / "seed-2")
    shutil.copytree(tiny_encoder, tmp_path / "seed-10")
    result = evaluate(tmp_path, sample / "domain" / "dev.conll")
    figures = [score.f1 for score in result.scores.values()]
    assert list(result.scores) == ["seed-2", "seed-10"]
    assert figures[0] != figures[1]
    assert (result.f1_mean, result.f1_sd) == (mean(figures), stdev(figures))
    (tmp_path / "seed-10" / "nerbert.json").unlink()
    with pytest.raises(InputError, match="seed-10: no whole tagger"):
        tagger_folders(str(tmp_path))


def test_unknown_types_are_missed_and_named(
    tiny_tagger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gold [b].conll").write_text("The\tO\nMargarethe\tB-[/nope]\n")
    result = evaluate(tiny_tagger, tmp_path / "gold [b].conll")
    assert result.unknown_types == ("[/nope]",)
    assert next(iter(result.scores.values())).by_type["[/nope]"].gold == 1
    print_evaluation(result, as_json=False)
    out = capsys.readouterr().out
    assert out.count("[/nope]") == 2


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    score = Score(1, 2, 4, {"a": Counts(1, 2, 4)})
    print_evaluation(Evaluation("f", 3, {"one": score, "two": Score(0, 0, 4, {})}, ("z",)), as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["taggers"]["one"]["by_type"]["a"] == {
        "right": 1, "predicted": 2, "gold": 4, "precision": 0.5, "recall": 0.25, "f1": pytest.approx(1 / 3),
    }  # fmt: skip
    assert found["taggers"]["two"]["f1"] == 0
    assert found["f1"] == pytest.approx(1 / 6)
    assert (found["unknown_types"], found["sentences"]) == (["z"], 3)


def test_seeds_are_shown_with_their_spread(capsys: pytest.CaptureFixture[str]) -> None:
    scores = {"seed-1": Score(1, 1, 1, {}), "seed-2": Score(0, 1, 1, {})}
    print_evaluation(Evaluation("f", 3, scores, ()), as_json=False)
    assert "50.00 ± 70.71" in capsys.readouterr().out


def test_an_encoder_that_is_not_fine_tuned_is_named(
    tiny_encoder: Path, tiny_tagger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gold.conll").write_text("The\tO\nMargarethe\tB-no-such\n")
    result = evaluate(tiny_encoder, tmp_path / "gold.conll")
    assert result.as_json()["not_finetuned"] == [tiny_encoder.name]
    print_evaluation(result, as_json=False)
    assert "made by pretrain, not fine-tuned: its types are the corpus's categories" in capsys.readouterr().out
    assert evaluate(tiny_tagger, tmp_path / "gold.conll").not_finetuned == ()
    (tmp_path / "gold.conll").write_text("The\tO\n")
    assert evaluate(tiny_encoder, tmp_path / "gold.conll").not_finetuned == ()
