import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from nerbert.encoder.folder import load_tagging_model, load_tokenizer, read_card, save_model, tags_of, write_card
from nerbert.encoder.heads import word_logits
from nerbert.encoder.pieces import Pieces
from nerbert.encoder.predict import predict
from nerbert.errors import InputError
from nerbert.formats.conll import example_of
from nerbert.training.batches import collate

TAGS = ["O", "B-person", "I-person", "B-ship", "I-ship"]
TEXT = "The Margarethe was built by Larsen in Tromsø ."


def small(kind: str, vocabulary: int) -> Any:
    """A tagger of one layer with random weights."""
    import transformers

    names = {"id2label": dict(enumerate(TAGS)), "label2id": {tag: number for number, tag in enumerate(TAGS)}}
    shape: dict[str, Any] = {
        "vocab_size": vocabulary, "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1,
        "intermediate_size": 64, "max_position_embeddings": 66,
    }  # fmt: skip
    distil = {"vocab_size": vocabulary, "dim": 64, "n_layers": 1, "n_heads": 1, "hidden_dim": 64}
    torch.manual_seed(3)
    if kind == "distilbert":
        return transformers.DistilBertForTokenClassification(transformers.DistilBertConfig(**distil, **names))
    if kind == "roberta":
        return transformers.RobertaForTokenClassification(transformers.RobertaConfig(pad_token_id=1, **shape, **names))
    if kind == "deberta":
        more = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False}
        return transformers.DebertaV2ForTokenClassification(transformers.DebertaV2Config(**shape, **more, **names))
    return transformers.BertForTokenClassification(transformers.BertConfig(**shape, **names))


@pytest.mark.parametrize(
    ("kind", "tokens"),
    [("bert", "wordpiece"), ("distilbert", "wordpiece"), ("roberta", "byte-level"), ("deberta", "unigram")],
)
def test_a_saved_folder_is_what_transformers_loads(
    tmp_path: Path, tokenizers: dict[str, Any], kind: str, tokens: str
) -> None:
    from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

    save_model(tmp_path, small(kind, len(tokenizers[tokens])), tokenizers[tokens])
    theirs, cutter = AutoModelForTokenClassification.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    theirs.eval()
    cutter.model_input_names = ["input_ids", "attention_mask"]
    encoded = cutter(TEXT, return_tensors="pt", return_offsets_mapping=True)
    with torch.no_grad():
        wanted = theirs(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"]).logits[0]

    model = load_tagging_model(str(tmp_path)).eval()
    pieces = Pieces(load_tokenizer(str(tmp_path)), model.config, 64)
    example = example_of(TEXT.split(" "), ["O"] * 9)
    windows = list(pieces.windows([example, example_of(["Paris"] * 20, ["O"] * 20)]))
    assert list(windows[0].ids) == encoded["input_ids"][0].tolist()
    with torch.no_grad():
        mine = word_logits(model, collate(windows, pieces.pad_id))[: len(windows[0].words)]
    torch.testing.assert_close(mine, wanted[list(windows[0].positions)], rtol=1e-4, atol=1e-5)

    (found,) = predict(model, pieces, [example], TAGS, precision="fp32")
    rows = pipeline("token-classification", model=theirs, tokenizer=cutter, ignore_labels=[], device="cpu")(TEXT)
    labels = {row["index"]: (row["entity"], row["score"]) for row in rows}
    for place, position in enumerate(windows[0].positions):
        label, score = labels[position]
        assert found.tags[place] == label
        assert found.confidences[place] == pytest.approx(float(score), abs=1e-4)


@pytest.fixture
def folder(tiny_tagger: Path, tmp_path: Path) -> Path:
    """A copy of the tiny tagger, to be broken."""
    return Path(shutil.copytree(tiny_tagger, tmp_path / "model"))


def test_weights_of_another_model_are_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    some = {name: each for name, each in weights.items() if "attention" not in name}
    save_file(some, folder / "model.safetensors", {"format": "pt"})
    for tags in (None, TAGS):
        with pytest.raises(InputError, match=r"don't belong together: .* say bert\.encoder"):
            load_tagging_model(str(folder), tags)


def test_shapes_that_do_not_fit_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 99}))
    with pytest.raises(InputError, match=r"say bert\.embeddings\.position"):
        load_tagging_model(str(folder), TAGS)


def test_a_folder_without_a_tokenizer_is_refused(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(InputError, match="tokenizer"):
        load_tokenizer(str(folder))


def test_the_card_says_what_a_folder_is(tmp_path: Path) -> None:
    assert read_card(str(tmp_path))["kind"] == "foreign"
    write_card(tmp_path, "tagger", word_splitter="joined-words-1", max_length=64)
    assert read_card(str(tmp_path))["word_splitter"] == "joined-words-1"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 99}, "not a card"), ({"word_splitter": "x"}, "word splitter 'x'"),
        ({"word_splitter": ["x"]}, "word splitter"), ({"max_length": "x"}, "max_length = 'x'"),
        ({"max_length": 0}, "max_length = 0"), ({"max_length": True}, "max_length = True"),
        ({"language": ["en"]}, "language = "),
    ],
)  # fmt: skip
def test_a_strange_card_is_refused_by_name(folder: Path, change: dict[str, Any], said: str) -> None:
    card = json.loads((folder / "nerbert.json").read_text())
    (folder / "nerbert.json").write_text(json.dumps(card | change))
    with pytest.raises(InputError, match=f"nerbert.json: {said}"):
        read_card(str(folder))


def test_a_card_on_the_hub_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def fetch(name: str, file: str) -> str:
        if name == "some/tagger":
            return str(folder / file)
        raise LocalEntryNotFoundError("not in the cache")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    assert read_card("some/tagger")["kind"] == "tagger"
    assert read_card("some/encoder")["kind"] == "foreign"


def test_labels_that_are_not_bio_are_refused() -> None:
    model = small("bert", 50)
    assert tags_of(model, "m") == TAGS
    for names in (["LABEL_0"], ["B-x", "I-x"], ["O", "S-x"]):
        model.config.id2label = dict(enumerate(names))
        with pytest.raises(InputError, match="m: not a BIO tagger"):
            tags_of(model, "m")
