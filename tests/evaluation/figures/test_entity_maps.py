"""Maps of entities: which are drawn, and where their vectors are read."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from nerbert.errors import InputError
from nerbert.evaluation.figures import draw_points, entity_vectors, make_maps
from nerbert.records import Example, Span
from nerbert.words import split_words
from tests.commands import exit_code
from tests.raised import raises


def sentence(text: str, *entities: tuple[str, str]) -> Example:
    spans = tuple(Span(text.index(name), text.index(name) + len(name), type_) for name, type_ in entities)
    return Example(text, split_words(text), spans)


def test_vectors_are_the_last_states_of_first_subwords() -> None:
    import torch

    from nerbert.model.backbone import Backbone

    one = sentence("The brig Margarethe was built in Tromsø.", ("Margarethe", "ship"), ("Tromsø", "port"))
    points = draw_points([one], 10, 1)
    backbone = Backbone.of("embedded", seed=0)
    encoded = backbone.tokenizer(one.text, return_offsets_mapping=True, return_tensors="pt")
    starts = [start for start, _ in encoded.pop("offset_mapping")[0].tolist()]
    with torch.inference_mode():
        states = backbone.load_body().eval()(**{name: encoded[name] for name in ("input_ids", "attention_mask")})
    wanted = states.last_hidden_state[0, [starts.index(span.start) for _, span in points]]
    assert np.allclose(entity_vectors("embedded", [one], points), wanted, atol=1e-5)


def test_the_draw_keeps_the_order_and_depends_on_the_seed() -> None:
    sentences = [sentence(f"Oslo {number}", ("Oslo", "city")) for number in range(50)]
    numbers = [number for number, _ in draw_points(sentences, 20, 1)]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == 20
    assert numbers != [number for number, _ in draw_points(sentences, 20, 2)]
    assert len(draw_points(sentences, 100, 1)) == 50


@pytest.mark.extras
def test_too_few_entities_and_a_single_type_are_refused() -> None:
    sentences = [sentence(f"Oslo {number}", ("Oslo", "city")) for number in range(91)]
    with raises(InputError, words="90 entities: a map of perplexity 30 needs more than 90"):
        make_maps(["embedded"], sentences, 90)
    with raises(InputError, words="a single type"):
        make_maps(["embedded"], sentences, 2000)


@pytest.mark.extras
def test_the_command_draws_maps(sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["figures", "paper", "embedded", "embedded-open", "-o", tmp_path, "--points", "120"]
    assert exit_code(*command) == 1
    assert "if it is an encoder, give sentences with --data" in capsys.readouterr().err
    data = ["--data", sample / "domain", shutil.copytree(sample / "domain", tmp_path / "other") / "test.conll"]
    assert exit_code(*command, *data) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.name for path in paths] == [f"maps-{sample.name}-domain.svg", "maps-other-test.conll.svg"]
    first = [path.read_bytes() for path in paths]
    assert exit_code(*command, *data) == 0
    assert [path.read_bytes() for path in paths] == first
    assert exit_code(*command, *data, tmp_path / "other" / ".." / "other" / "test.conll") == 1
    assert "the same names of folders" in capsys.readouterr().err
    assert b"embedded-open" in first[0]
