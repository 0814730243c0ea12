"""GLiNER folders that are as they should be, and such as are not: one clear line each."""

import json
import pickle
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import torch

from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.model.backbone import Backbone
from nerbert.model.gliner.config import body_config
from nerbert.model.gliner.folder import load_gliner
from nerbert.model.gliner.layers import remember_positions
from nerbert.model.gliner.weights import read_weights
from nerbert.tagger.tagger import Tagger
from tests.calls import noted
from tests.raised import raises

from .conftest import BODY, DEBERTA, Make

TEXT = "The ship left the port of Stockholm."


def found(folder: Path) -> list[Any]:
    return list(Tagger.load(folder, device="cpu", thresholds=0.2).tag(TEXT, labels=["ship", "port"]))


def change(folder: Path, **values: Any) -> None:
    path = folder / "gliner_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def as_pickled(folder: Path) -> None:
    torch.save(read_weights(folder), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def test_pickled_weights_are_the_same_and_are_kept_as_safetensors(make: Make, tmp_path: Path) -> None:
    folder = make()
    expected = found(folder)
    assert expected
    as_pickled(folder)
    tagger = Tagger.load(folder, device="cpu", thresholds=0.2)
    assert found(folder) == expected
    tagger.save_pretrained(tmp_path / "saved")
    assert (tmp_path / "saved" / "model.safetensors").is_file()
    assert not (tmp_path / "saved" / "pytorch_model.bin").exists()
    (tmp_path / "saved" / "pytorch_model.bin").write_bytes(b"no weights, which are passed over")
    assert found(tmp_path / "saved") == expected
    one = tagger.fingerprint
    torch.save({}, folder / "pytorch_model.bin")
    assert Tagger.load(tmp_path / "saved", device="cpu").fingerprint != one
    with raises(InputError, "or holds other weights than when the tagger was loaded"):
        pickle.loads(pickle.dumps(tagger))


def test_labels_own_encoder_goes_along(make: Make, tmp_path: Path) -> None:
    folder = make(labels_encoder="x/y")
    tagger = Tagger.load(folder, device="cpu", thresholds=0.2).with_labels(["ship", "port"])
    tagger.save_pretrained(tmp_path / "saved")
    expected = found(folder)
    assert found(tmp_path / "saved") == expected
    again = pickle.loads(pickle.dumps(tagger))
    assert (list(again.tag(TEXT)), again.types) == (expected, ["port", "ship"])


@pytest.mark.parametrize("pickled", [False, True])
def test_pickled_weights_are_downloaded_only_where_there_are_no_others(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pickled: bool
) -> None:
    source = make(labels_encoder="x/y")
    torch.save(read_weights(source), source / "pytorch_model.bin")
    if pickled:
        (source / "model.safetensors").unlink()

    def snapshot_download(_name: str, allow_patterns: list[str]) -> str:
        for path in source.rglob("*.*"):
            name = path.relative_to(source)
            if any(fnmatch(str(name), each) for each in allow_patterns):
                (tmp_path / "local" / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, tmp_path / "local" / name)
        return str(tmp_path / "local")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    tagger = Tagger.load("me/gliner-small", device="cpu", thresholds=0.2)
    assert list(tagger.tag(TEXT, labels=["ship", "port"])) == found(source)
    assert (tmp_path / "local" / "pytorch_model.bin").exists() == pickled


class Touch:
    """What a pickle runs when it is read as any object."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_code_in_pickled_weights_is_refused_and_not_run(make: Make, tmp_path: Path) -> None:
    folder = make()
    as_pickled(folder)
    for weights, words in (
        ({"rnn": Touch(tmp_path / "ran")}, "pytorch_model.bin: damaged, or holds more than weights (pickled code)"),
        ([1, 2], "holds no weights by name"),
    ):
        torch.save(weights, folder / "pytorch_model.bin")
        with raises(InputError, words):
            Tagger.load(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"labels_decoder": "gpt2"}, "labels_decoder = 'gpt2': must be null; nerbert reads GLiNER models that"),
        ({"relations_layer": "biaffine"}, "relations_layer = 'biaffine'"),
        ({"model_type": "gliner_streaming_span"}, "with a streaming decoder"),
        ({"fuse_layers": True}, "fuse_layers = True: must be False"),
        ({"represent_spans": True}, "represent_spans = True"),
        ({"span_encoder_config": {"model_type": "rnn"}}, "span_encoder_config = {'model_type': 'rnn'}"),
        ({"labels_encoder": "x/y", "post_fusion_schema": "l2l-l2t"}, "with post-fusion"),
        ({"span_mode": "conv_share"}, "with span_mode 'conv_share'"),
        ({"subtoken_pooling": "sum"}, "subtoken_pooling = 'sum': must be 'first', 'last', 'mean' or 'max'"),
        ({"words_splitter_type": "jieba"}, "words_splitter_type = 'jieba': must be 'whitespace'"),
        ({"encoder_config": {**BODY, "model_type": "llama"}}, "a zero-shot model on 'llama', which nerbert doesn't"),
        ({"encoder_config": {**BODY, "hidden_size": 10**12}}, "hidden_size = 1000000000000: must be less than or"),
        ({"encoder_config": {**BODY, "model_type": "albert", "inner_group_num": 10**6}}, "inner_group_num = 1000000: "),
        ({"encoder_config": {**BODY, "num_attention_heads": 3}}, "can't be built: "),
        ({"encoder_config": {**BODY, "to_dict": "x"}}, "the model of gliner_config.json can't be computed: "),
        ({"max_width": 10**9}, "max_width = 1000000000: must be less than"),
        ({"hidden_size": "big"}, "hidden_size = 'big': must be a valid integer"),
        ({"hidden_size": 30000}, "don't belong together: "),
        ({"span_mode": "token_level"}, " weights are missing for a token-level model on 'bert', say scorer"),
        ({"num_rnn_layers": 2}, "weights are missing for a markerV0 span model on 'bert'"),
        ({"class_token_index": 5}, " for '<<ENT>>', and the model knows a label by 5"),
        (("model.safetensors", None), "neither model.safetensors nor pytorch_model.bin: its weights are missing"),
        (("model.safetensors", b"cut"), "model.safetensors: can't be read as weights"),
        (("gliner_config.json", b"{"), "not JSON"),
    ],
)
def test_messages(make: Make, values: dict[str, Any] | tuple[str, bytes | None], words: str) -> None:
    """Of a changed configuration, or of a file with other content or none."""
    folder = make()
    if isinstance(values, dict):
        change(folder, **values)
    else:
        (folder / values[0]).unlink()
        if values[1]:
            (folder / values[0]).write_bytes(values[1])
    with raises(InputError, words):
        Tagger.load(folder, device="cpu").tag(TEXT, labels=["ship"])


@pytest.mark.parametrize(
    ("settings", "how", "kind", "words"),
    [
        ({}, {"decoding": "legal"}, SettingsError, "decoding = 'legal': for this model it must be one of flat, nested"),
        ({}, {"decoding": "touching"}, SettingsError, "'touching': for this model it must be one of flat, nested"),
        ({}, {"on_too_long": "error"}, InputError, "in windows that overlap; on_too_long = 'error' is not supported"),
        ({}, {"on_too_long": "truncate"}, InputError, "overlap; on_too_long = 'truncate' is not supported"),
        (
            {"labels_encoder": "x/y", "body": {"max_position_embeddings": 20}},
            {},
            InputError,
            "room for 20 pieces, too few for a text",
        ),
    ],
)
def test_messages_of_loading(
    make: Make, settings: dict[str, Any], how: dict[str, str], kind: type[NerbertError], words: str
) -> None:
    folder = make(**settings)
    with raises(kind, words):
        Tagger.load(folder, **how).tag(TEXT, labels=["ship"])  # type: ignore[arg-type]


def test_no_training_of_another_kind_starts_from_it(make: Make) -> None:
    with raises(InputError, "a GLiNER model, which tags without training"):
        Backbone(str(make()), None, seed=0).load_body()


def test_how_an_encoder_was_called_is_left_out_of_its_configuration(make: Make) -> None:
    folder = make()
    usual, expected = json.loads((folder / "gliner_config.json").read_text())["encoder_config"], found(folder)
    called = {
        "chunk_size_feed_forward": 1.5,
        "output_hidden_states": "a",
        "output_attentions": True,
        "return_dict": 0,
        "is_decoder": True,
        "use_cache": "a",
        "pruned_heads": {"0": [0]},
        "sub_configs": 1,
    }
    for size in (1.5, 3):  # 3 would do for texts of some lengths
        change(folder, encoder_config={**usual, **called, "chunk_size_feed_forward": size})
        assert found(folder) == expected


def test_a_first_versions_folder_takes_its_encoder_from_a_folder_inside(make: Make, tokenizers: Any) -> None:
    folder = make()
    expected = found(folder)
    config = json.loads((folder / "gliner_config.json").read_text())
    old = {name: config[name] for name in ("span_mode", "max_width", "hidden_size", "max_len")}
    old |= {"name": "span level gliner", "lr_encoder": "1e-5", "fine_tune": True, "num_steps": 3000}
    (folder / "gliner_config.json").write_text(json.dumps({**old, "model_name": "./nowhere/at-all"}))
    with raises(InputError, "names only './nowhere/at-all'; put that model's config.json and tokenizer"):
        Tagger.load(folder)
    (folder / "backbone").mkdir()
    (folder / "backbone" / "config.json").write_text(json.dumps(config["encoder_config"]))
    change(folder, class_token_index=config["class_token_index"], vocab_size=config["vocab_size"])
    for path in folder.glob("tokenizer*"):
        path.rename(folder / "backbone" / path.name)
    assert found(folder) == expected


@pytest.mark.parametrize("name", ["{}", "../other", "x/../y", "~/other", "here/other"])
def test_a_folder_has_no_say_in_which_other_folders_are_read(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder, other = make(), tmp_path / "here" / "other"
    monkeypatch.chdir(tmp_path)
    config = json.loads((folder / "gliner_config.json").read_text())
    shutil.copytree(folder, other)
    (other / "config.json").write_text(json.dumps(config["encoder_config"]))
    for path in folder.glob("tokenizer*"):
        path.unlink()
    change(folder, model_name=name.format(other))
    with raises(InputError, "put that model's config.json and tokenizer"):
        Tagger.load(folder)


def test_code_that_a_configuration_names_is_passed_over() -> None:
    named = {
        "attn_implementation": "me/kernel",
        "_attn_implementation": "me/kernel",
        "num_labels": 10**12,
        "_experts_implementation": "me/kernel",
    }
    config = body_config({**BODY, "vocab_size": 9, **named}, "body")
    assert config._attn_implementation != "me/kernel"
    assert not any("me/kernel" in str(each) for each in vars(config).values())


def test_what_looks_like_a_mark_is_plain_text_where_marks_are_no_special_pieces(make: Make) -> None:
    folder = make()
    path = folder / "tokenizer.json"
    known = json.loads(path.read_text())
    for each in known["added_tokens"]:
        each["special"] = each["special"] and not each["content"].startswith("<<")
    path.write_text(json.dumps(known))
    pieces = load_gliner(folder).pieces
    (ent,), (sep,) = pieces._mark("<<ENT>>"), pieces._mark("<<SEP>>")
    for found in pieces.pieces(["<<ENT>>", "a<<SEP>>b<<<ENT>>", "<<SEP>><<SEP>>"]):
        assert found
        assert not {ent, sep} & set(found)


def test_positions_are_computed_once_and_the_states_stay_as_they_were(make: Make) -> None:
    body = load_gliner(make(body={"model_type": "deberta-v2", **DEBERTA})).model.body
    torch.manual_seed(0)
    inputs = [torch.randint(5, 90, (2, length)) for length in (7, 17, 30)]
    with torch.inference_mode():
        before = [body(input_ids=each)[0] for each in inputs]
        remember_positions(body)
        with pytest.MonkeyPatch.context() as patch:
            calls = noted(patch, torch.nn.functional, "linear", lambda states, *_: states.shape[1])
            after = [body(input_ids=each)[0] for each in inputs]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert calls.count(2 * DEBERTA["position_buckets"]) == 2  # as keys and as queries
    assert calls.count(7) > 2
