"""Keys tell every fact apart, code counts by a version tied to the golden files, an encoder by what is loaded."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from nerbert.finetuning.start import usual_rate
from nerbert.formats.conll import example_of
from nerbert_bench.keys import SCORING, TRAINING, encoder_digest, key_of
from nerbert_bench.plan import draw_part

GOLDEN = Path(__file__).parents[4] / "tests" / "golden"
TRAINED = ("losses-tagging.json", "logits-torch-fp32.json", "spans-torch-fp32.json", "suite-cells.json")
"""The suite's cells are fine-tuned, so they tell of training too."""
SCORED = ("suite-cells.json",)
TRAINING_GOLDEN = {4: "1890f68a31e64cfb"}
SCORING_GOLDEN = {3: "2e03e29787dcac93"}


def golden(names: tuple[str, ...]) -> str:
    return hashlib.sha256(b"".join((GOLDEN / name).read_bytes() for name in names)).hexdigest()[:16]


def test_code_that_changed_its_meaning_has_another_version() -> None:
    """If this fails: training, tagging or scores mean something else. Raise the version in keys.py, and add it here."""
    rates = [usual_rate(SimpleNamespace(hidden_size=width)) for width in (384, 767, 768, 1024)]
    assert rates == [2e-4, 2e-4, 1e-4, 1e-4], "raise TRAINING: `learning_rate = 0` means another rate"
    assert TRAINING_GOLDEN[TRAINING] == golden(TRAINED)
    assert SCORING_GOLDEN[SCORING] == golden(SCORED)


def test_sentences_that_are_drawn_have_another_version() -> None:
    """If this fails: cells train on other sentences than before. Raise TRAINING in keys.py."""
    rows = [example_of(["The", f"x{n}"], ["O", f"B-{'abc'[n % 3]}"]) for n in range(12)]
    facts = {size: draw_part(rows, rows, size, 2).facts for size in ("3", "25%", "k=2", "2 way 1 shot")}
    assert [each["places"] for each in facts.values()] == [[0, 2, 5], [0, 2, 5], [0, 4, 8, 9, 10, 11], [7, 11]]
    assert facts["2 way 1 shot"]["query_places"] == [1, 8]
    assert facts["2 way 1 shot"]["unknown_types"] == draw_part(rows, rows, "all", 1).facts["unknown_types"] == []
    other = [example_of(["A"], ["B-port"])]
    assert draw_part(rows, other, "3", 1).facts["unknown_types"] == ["port"]


def test_keys_tell_every_fact_apart() -> None:
    keys = {key_of("a"), key_of("b"), key_of("a", x=1), key_of("a", x=2), key_of("a", x="1"), key_of("a", y=1)}
    assert len(keys) == 6
    assert key_of("a", x=1, y={"p": 1, "q": 2}) == key_of("a", y={"q": 2, "p": 1}, x=1)


@pytest.mark.parametrize(
    ("mark", "part"),
    [
        ("gliner_config.json", "labels_tokenizer/tokenizer.json"),
        ("gliner_config.json", "pytorch_model.bin"),
        ("concepts/concepts.json", "concepts/heads.safetensors"),
    ],
)
def test_what_has_learnt_to_be_told_its_labels_is_more(tmp_path: Path, mark: str, part: str) -> None:
    for name in (mark, part):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    before = encoder_digest(tmp_path)
    (tmp_path / part).write_text("other")
    assert encoder_digest(tmp_path) != before
    (tmp_path / mark).unlink()
    before = encoder_digest(tmp_path)
    (tmp_path / part).write_text("of no use")
    assert encoder_digest(tmp_path) == before
