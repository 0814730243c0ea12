"""A text encoder and its concept encoder as a tagger: labels at run time, their cache, entities, back ends."""

import pickle
import random
import runpy
import shutil
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, get_ident
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nerbert import Tagger
from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.labels import fold_type
from nerbert.model.backbone import save_model
from nerbert.model.concept_encoder import ConceptModel, open_concepts
from nerbert.model.concept_head import AskedLabels, ConceptHead
from nerbert.model.folder import write_card
from nerbert.model.linear import WordScores, word_scores
from nerbert.model.surgery import train_tokenizer
from nerbert.records import EntityLabel, Example, Span
from nerbert.tagger.export import export
from nerbert.tagger.label_vectors import LabelEncoder, LabelVectors
from nerbert.tagger.pending import TagRequest
from nerbert.tagger.self_check import check
from nerbert.words import split_words
from tests.calls import noted
from tests.encoder.backbones import tiny_config
from tests.raised import raises
from tests.tagger.batches import check_same

Caught = pytest.CaptureFixture[str]
LABELS = ["ship", "port: where ships call", "person", "polar ship", "city", "state", "harbour", "sea", "Insel", "река"]
TEXTS = [
    "The ship Fram left Oslo on a Monday.\nShe called at Bergen. And at Tromsø!",
    "",
    "New York, Oslo  and Bergen",
    "Nobody reads this text, " * 30 + "but Amundsen in Oslo does.",
]


def made(
    folder: Path, *, wide: int = 32, pooling: Any = "mean", boundaries: bool = False, shared: bool = False
) -> Path:
    """Two random encoders, or one for both, of which half of all words are of half of the labels; and a random layer of
    boundaries.
    """
    from transformers import AutoModel

    torch.set_num_threads(1)
    texts = [*TEXTS, *LABELS, "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ рек"]
    tokenizer = train_tokenizer(texts * 3, 160)
    torch.manual_seed(5)
    shape = {"initializer_range": 1.0, "pad_token_id": tokenizer.pad_token_id}
    text, names = (
        AutoModel.from_config(tiny_config("bert", len(tokenizer), hidden_size=each, **shape), add_pooling_layer=False)
        for each in (32, wide)
    )
    names = text if shared else names
    model = ConceptModel(
        text, names, tokenizer, temperature=0.4, bias=0.0, pooling=pooling, boundaries=boundaries
    ).eval()
    with torch.inference_mode():
        words = model.text(tokenizer(TEXTS[0], return_tensors="pt")["input_ids"]).last_hidden_state[0]
        logits = model.logits(words, model.name_vectors(LABELS))
    model.bias.data.fill_(-logits.median().item())
    if model.boundaries is not None:  # most words begin an entity
        model.boundaries.bias.data += torch.tensor([0.0, 4.0, 1.0])
    save_model(folder, model, tokenizer)
    write_card(folder, "encoder", word_splitter="unicode-words-1", language="en", max_length=48)
    return folder


@pytest.fixture(scope="module", params=["words", "boundaries"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder with concepts, of two widths, with a layer of boundaries or without; read only."""
    return made(tmp_path_factory.mktemp("concepts") / "encoder", wide=48, boundaries=request.param == "boundaries")


WORDS_ALONE = pytest.mark.parametrize("folder", ["words"], indirect=True)


@pytest.fixture
def tagger(folder: Path) -> Tagger:
    return load(folder)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "nerbert" / "labels"


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that go through a concept encoder."""
    return noted(monkeypatch, LabelEncoder, "__call__", lambda _, text: text)


def spans_of(tagger: Tagger) -> list[list[Span]]:
    return [list(each) for each in tagger.tag_many(TEXTS)]


def load(folder: Path, **options: Any) -> Tagger:
    return Tagger.load(folder, **{"device": "cpu", "precision": "fp32"} | options)


@WORDS_ALONE
def test_scores_are_those_of_training(folder: Path, tagger: Tagger) -> None:
    """Against the model that was trained, one sentence and one label at a time."""
    model = open_concepts(str(folder)).eval()
    example = Example(TEXTS[0][:36], split_words(TEXTS[0][:36]))
    encoded = model.tokenizer(example.text, return_offsets_mapping=True, return_tensors="pt")
    (offsets,) = encoded.pop("offset_mapping").tolist()
    first = [[start for start, _ in offsets[1:-1]].index(start) + 1 for start, _ in example.words]
    with torch.inference_mode():
        words = model.text(encoded["input_ids"]).last_hidden_state[0, first]
        names = (model.name_vectors([fold_type(label)]) for label in LABELS)
        wanted = torch.cat([torch.sigmoid(model.logits(words, each)) for each in names], 1)
    for column, label in enumerate(LABELS):
        (found,) = tagger.with_labels([label]).tag_many([example])
        sure = wanted[:, column].numpy()
        words_of = [
            [number for number, (start, _) in enumerate(example.words) if span.start <= start < span.end]
            for span in found
        ]
        assert {number for some in words_of for number in some} == set(np.flatnonzero(sure >= 0.5))
        assert [span.confidence for span in found] == pytest.approx([sure[some].mean() for some in words_of], abs=1e-4)
    assert 0.1 < (wanted > 0.5).float().mean() < 0.9


def test_neither_order_nor_number_of_labels_changes_a_bit(
    folder: Path, tagger: Tagger, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = spans_of(tagger.with_labels(LABELS))
    assert len({span.type for spans in wanted for span in spans}) > 3
    shuffled = list(LABELS)
    for seed in range(3):
        random.Random(seed).shuffle(shuffled)
        shutil.rmtree(own_cache)
        assert spans_of(tagger.with_labels(shuffled)) == wanted
    unlikely = {f"thing {number}": 1.0 for number in range(200)}
    several = load(folder, thresholds=unlikely)
    for count in (7, 200):
        assert spans_of(several.with_labels([*list(unlikely)[:count], *LABELS])) == wanted
    monkeypatch.setattr("nerbert.model.concept_head._CELLS", 1)
    assert spans_of(several.with_labels([*unlikely, *LABELS])) == wanted


def test_a_label_alone_has_the_score_that_it_has_among_many() -> None:
    random_ = np.random.default_rng(1)
    words, labels = (random_.normal(size=(count, 384)).astype(np.float32) for count in (300, 40))
    names = [EntityLabel(str(number)) for number in range(100, 140)]

    def vectors(some: Sequence[EntityLabel]) -> Any:
        return labels[[int(each.name) - 100 for each in some]]

    head = ConceptHead(None, None, vectors, 384, 4.0, -1.0)  # type: ignore[arg-type]
    found = dict[tuple[int, str], float]()
    for count in (40, 39, 7, 1):
        for first in range(0, 40, count):
            some = names[first : first + count]
            asked = head.for_labels(some, [0.0] * len(some)).asked
            assert asked is not None
            assert (asked.numbers == asked.numbers.round()).all()
            assert 384 * np.abs(asked.numbers).max() ** 2 < 2**53
            best, odds = head._best(words, asked)
            for word, (label, each) in enumerate(zip(best.tolist(), odds.tolist(), strict=True)):
                assert found.setdefault((word, asked.names[label]), each) == each
    exact = words.astype(np.float64) @ labels.T.astype(np.float64) / 4 - 1
    assert [found[0, each.name] for each in names] == pytest.approx(exact[0], abs=1e-5)


@WORDS_ALONE
def test_a_label_is_encoded_once(tagger: Tagger, encoded: list[str], own_cache: Path) -> None:
    wanted = spans_of(tagger.with_labels(LABELS[:6]))
    assert encoded == sorted(LABELS[:6])
    again = pickle.loads(pickle.dumps(tagger))
    assert spans_of(again.with_labels(LABELS[5::-1])) == wanted
    assert len(encoded) == 6
    again.with_labels(["port", "sea"])
    assert encoded[6:] == ["port", "sea"]
    assert not list(own_cache.rglob(".*.partial"))
    plain, special = (tagger.head.for_labels([EntityLabel(name)], [0.5]) for name in ("SEP", "[SEP]"))
    assert encoded[8:] == ["sep", "[sep]"], "written as in training, and no special piece"
    assert not np.array_equal(plain.asked.numbers, special.asked.numbers)  # type: ignore[attr-defined]
    assert tagger.with_labels(["sea"]).head.scorer is tagger.head.scorer  # type: ignore[attr-defined]
    assert tagger.types == []


@WORDS_ALONE
def test_requests_that_differ_in_thresholds_share_the_vectors_of_labels(
    folder: Path, tagger: Tagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = noted(monkeypatch, LabelVectors, "__call__", lambda _, labels: labels)
    bounds = [number / 20 for number in range(20)]
    found = tagger.tag_batch([TagRequest(TEXTS[0], LABELS, bound) for bound in bounds])
    assert len(asked) == 1
    for bound, spans in zip(bounds[::5], found[::5], strict=True):
        check_same(spans, load(folder, thresholds=bound).tag(TEXTS[0], LABELS))


@WORDS_ALONE
def test_two_threads_encode_a_new_label_once(
    tagger: Tagger, encoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have read the cache, which is empty, before either of them encodes."""
    vectors, real, barrier = tagger.head.vectors, LabelVectors._read, Barrier(2)  # type: ignore[attr-defined]
    waited = set[int]()

    def read(self: LabelVectors, *given: Any) -> Any:
        found = real(self, *given)
        if get_ident() not in waited:
            waited.add(get_ident())
            barrier.wait(60)
        return found

    monkeypatch.setattr(LabelVectors, "_read", read)
    labels = [EntityLabel("ship"), EntityLabel("port")]
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(vectors, [labels, labels])
    assert sorted(encoded) == ["port", "ship"]
    assert (one == other).all()


@WORDS_ALONE
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-30]),
        lambda path: path.write_bytes(path.read_bytes().replace(path.read_bytes()[300:304], b"\x00\x01\x02\x03")),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(pickle.dumps({"keys": 1})),
        lambda path: np.savez(path, keys=np.zeros((1, 32), np.uint8)),
        lambda path: np.savez(path, keys=np.zeros((1, 32), np.uint8), vectors=np.zeros((1, 9), np.float32)),
        lambda path: np.savez(path, keys=np.zeros((1, 32), object), vectors=np.zeros((1, 32), np.float32)),
    ],
)
def test_a_damaged_cache_is_made_again(
    tagger: Tagger,
    encoded: list[str],
    own_cache: Path,
    capsys: Caught,
    damage: Callable[[Path], object],
) -> None:
    wanted = spans_of(tagger.with_labels(LABELS))
    files = sorted(own_cache.rglob("*.npz"))
    damage(files[0])
    tagger._heads.cache_clear()
    del encoded[:]
    assert spans_of(tagger.with_labels(LABELS)) == wanted
    assert 1 <= len(encoded) <= 1 + len(LABELS) - len(files)
    told = capsys.readouterr().err.splitlines()
    assert told
    assert all(str(files[0]) in line and line.endswith("it is written again") for line in told)
    tagger._heads.cache_clear()
    del encoded[:]
    tagger.with_labels(LABELS)
    assert encoded == []


@WORDS_ALONE
def test_where_no_cache_can_be_labels_are_encoded_each_time(tagger: Tagger, own_cache: Path, capsys: Caught) -> None:
    own_cache.parent.mkdir(parents=True)
    own_cache.write_text("no folder")
    assert spans_of(tagger.with_labels(LABELS))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("vectors of labels are not cached: ")


@WORDS_ALONE
def test_thresholds_are_of_labels(folder: Path, tagger: Tagger) -> None:
    assert tagger.with_labels(LABELS).thresholds == dict.fromkeys((each.partition(":")[0] for each in LABELS), 0.5)
    (tags,) = load(folder, thresholds=0.0).with_labels(LABELS).tag_examples([Example(TEXTS[0], split_words(TEXTS[0]))])
    words = [TEXTS[0][start:end] for start, end in split_words(TEXTS[0])]
    assert {word for word, tag in zip(words, tags.tags, strict=True) if tag == "O"} <= {"&", ".", "!", ","}
    strict = load(folder, thresholds={"": 0.9, "ship": 1.0}).with_labels(LABELS)
    kept = [span for spans in spans_of(strict) for span in spans]
    assert kept
    assert min(span.confidence for span in kept) >= 0.9
    assert "ship" not in {span.type for span in kept}


@pytest.mark.parametrize("decoding", ["flat", "touching"])
def test_which_words_are_one_entity(decoding: str) -> None:
    text = "New York\tCity A-B A/C D,E F\nG H  I J\u00a0K L ; M N"
    words = split_words(text)
    labels = [{"-": -1, "/": 0, ",": -1, "L": 1, ";": -1, "N": 1}.get(text[a:b], 0) for a, b in words]
    logits = np.array([[4.0, 0.0] if each == 0 else [0.0, 4.0] if each == 1 else [-4.0, -4.0] for each in labels])
    offsets = np.array([0, len(words)])
    scores = WordScores(offsets, np.arange(len(words)), logits.astype(np.float32), np.zeros(0, np.int64))
    head = ConceptHead(None, None, None, 2, 1.0, 0.0, decoding=decoding)  # type: ignore[arg-type]
    asked = AskedLabels([EntityLabel("x"), EntityLabel("y")], np.eye(2), np.ones(2), np.zeros(2))
    found = head._entities([Example(text, words)], scores, asked)
    spans = [text[words[start][0] : words[end - 1][1]] for start, end, _ in found.word_spans(1)[0]]
    rest = {
        "flat": ["New York\tCity A", "B A/C D", "E F", "G H  I J\u00a0K", "L", "M", "N"],
        "touching": ["New York\tCity A-B A/C D,E F\nG H", "I J\u00a0K", "L", "M", "N"],
    }
    assert spans == rest[decoding]
    assert found.types == ["x"] * (len(spans) - 3) + ["y", "x", "y"]
    assert found.confidences() == pytest.approx(1 / (1 + np.exp(-4.0)))


def test_words_without_pieces_and_words_of_one_piece() -> None:
    """Of five words the second is in the first one's piece, the fourth has none."""
    text = "北京 a \u200b b"
    words = ((0, 1), (1, 2), (3, 4), (5, 6), (7, 8))
    scores = WordScores(np.array([0, 0, 5]), np.array([0, 2, 4]), np.ones((3, 1), np.float32), np.array([1]))
    head = ConceptHead(None, None, None, 1, 1.0, 0.0)  # type: ignore[arg-type]
    asked = AskedLabels([EntityLabel("x")], np.eye(1), np.ones(1), np.zeros(1))
    found = head._entities([Example("", ()), Example(text, words)], scores, asked)
    assert found.word_spans(2) == [[], [(0, 3, "x"), (4, 5, "x")]]


@pytest.fixture(scope="module")
def exported(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The encoder as graphs alone; read only."""
    return export(folder, int8=True, output=tmp_path_factory.mktemp("light") / "encoder").folder


@pytest.mark.extras
def test_graphs_give_torchs_scores_without_torch(
    tagger: Tagger, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = list(tagger.tag_many(TEXTS, LABELS))
    for name in ("torch", "transformers", "safetensors", "huggingface_hub"):
        monkeypatch.setitem(sys.modules, name, None)
    light = Tagger.load(exported, precision="fp32")
    assert light.head.name == "onnx fp32 cpu"
    for found, spans in zip(light.tag_many(TEXTS, LABELS), wanted, strict=True):
        check_same(found, spans, 1e-4)
    assert spans_of(Tagger.load(exported).with_labels(LABELS))  # int8


@pytest.mark.extras
def test_a_packed_folder_computes_with_its_own_weights(tmp_path: Path) -> None:
    """Torch reads them as fp32; graphs hold none. Another one whose graphs are the same has other vectors of labels."""
    pack = runpy.run_path(str(Path(__file__).parents[2] / "models" / "pack.py"))["pack"]
    trained, asked = made(tmp_path / "trained", boundaries=True), [EntityLabel(each) for each in LABELS]
    pack(trained, tmp_path / "packed")
    names = load_file(trained / "concepts" / "model.safetensors")
    table = next(name for name in names if name.endswith("word_embeddings.weight"))
    save_file(names | {table: names[table].roll(1, 0)}, trained / "concepts" / "model.safetensors", {"format": "pt"})
    pack(trained, tmp_path / "other")
    graphs = [tmp_path / name / "onnx" / "concepts.onnx" for name in ("packed", "other")]
    assert graphs[0].read_bytes() == graphs[1].read_bytes()
    assert not (graphs[0].parent / "model.onnx").exists()
    exact: Any = load(tmp_path / "packed", backend="torch").head
    light: Any
    other: Any
    light, other = (Tagger.load(tmp_path / name, backend="onnx").head for name in ("packed", "other"))
    assert light.name == "onnx int8 cpu"
    wanted, found, others = (head.vectors(asked) for head in (exact, light, other))
    assert np.corrcoef(wanted.ravel(), found.ravel())[0, 1] > 0.99
    assert np.corrcoef(wanted.ravel(), others.ravel())[0, 1] < 0.9
    examples = [Example(each, split_words(each)) for each in TEXTS if each]
    columns = exact.columns_of(exact.width)
    ours, theirs = (word_scores(head.scorer, head.pieces, examples, columns, 256).logits for head in (exact, light))
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.97


@pytest.mark.extras
def test_a_packed_folder_with_one_encoder_has_one_tokenizer(tmp_path: Path) -> None:
    pack = runpy.run_path(str(Path(__file__).parents[2] / "models" / "pack.py"))["pack"]
    pack(made(tmp_path / "trained", boundaries=True, shared=True), tmp_path / "packed")
    assert [path.name for path in (tmp_path / "packed").rglob("*tokenizer.json")] == ["tokenizer.json"]
    taggers = [load(tmp_path / "packed", backend="torch"), Tagger.load(tmp_path / "packed", backend="onnx")]
    asked = [EntityLabel(each) for each in LABELS]
    wanted, found = (tagger.head.vectors(asked) for tagger in taggers)  # type: ignore[attr-defined]
    assert np.corrcoef(wanted.ravel(), found.ravel())[0, 1] > 0.99
    assert list(taggers[1].tag_many(TEXTS, LABELS))


@pytest.mark.extras
def test_graphs_of_the_first_piece_and_of_other_weights(tmp_path: Path) -> None:
    folder = made(tmp_path / "first", pooling="first")
    wanted = load(folder).tag_many(TEXTS, LABELS)
    assert export(folder).sizes.keys() == {"model.onnx", "concepts.onnx"}
    light = Tagger.load(folder, backend="onnx", precision="fp32")
    for found, spans in zip(light.tag_many(TEXTS, LABELS), wanted, strict=True):
        check_same(found, spans, 1e-4)
    data = [Example(each, split_words(each), (Span(0, 3, "ship"),)) for each in TEXTS[:1]]
    agreement = export(folder, data=data, overwrite=True).agreement
    assert agreement.keys() == {"torch fp32", "onnx fp32"}
    assert agreement["onnx fp32"].share == 1
    assert agreement["onnx fp32"].confidence < 1e-4
    scorer = folder / "concepts" / "scorer.safetensors"
    scorer.write_bytes(scorer.read_bytes() + b" ")
    with raises(InputError, "made from other weights than concepts/scorer.safetensors"):
        Tagger.load(folder, backend="onnx")


def _without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "concepts" / name).unlink()


def _scorer(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Callable[[Path], object]:
    def act(folder: Path) -> None:
        path = folder / "concepts" / "scorer.safetensors"
        save_file(change(load_file(path)), path)

    return act


Act = Callable[[Path], object]
BREAKS: dict[str, tuple[Act, str]] = {
    "no facts": (_without("concepts.json"), "not a tagger: its weights hold no head"),
    "no weights": (_without("model.safetensors"), "concepts: holds no weights of a concept encoder"),
    "no scorer": (_without("scorer.safetensors"), "scorer.safetensors: can't be read"),
    "no number": (_scorer(lambda own: {**own, "bias": torch.tensor(torch.nan)}), "holds no bias that is a number"),
    "no tokenizer": (_without("tokenizer.json"), "tokenizer"),
    "no layer": (_scorer(lambda own: {"bias": own["bias"]}), "no layer of boundaries"),
    "whole numbers": (_scorer(lambda own: {**own, "boundaries.bias": own["boundaries.bias"].int()}), "floating-point"),
    "narrow layer": (
        _scorer(lambda own: {**own, "boundaries.weight": own["boundaries.weight"][:, :3].clone()}),
        "doesn't fit",
    ),
}


@pytest.mark.parametrize("folder", ["boundaries"], indirect=True)
@pytest.mark.parametrize("name", BREAKS)
def test_a_folder_that_is_not_whole_is_one_line(folder: Path, tmp_path: Path, name: str) -> None:
    broken = Path(shutil.copytree(folder, tmp_path / "encoder"))
    change, words = BREAKS[name]
    change(broken)
    with raises(InputError, words) as caught:
        load(broken).with_labels(["ship"])
    assert "\n" not in str(caught.value)


REFUSED: list[tuple[Act, type[NerbertError], str]] = [
    (
        lambda folder: load(folder).with_labels(["ship: " + "a b " * 40]),
        InputError,
        "has 82 pieces; the model reads 1 to 62",
    ),
    (lambda folder: load(folder, on_too_long="error").tag(TEXTS[3], LABELS), InputError, "longer than a window"),
    (lambda folder: load(folder).tag("Oslo"), InputError, "takes its labels at run time: give labels"),
    *(
        (
            lambda folder, renew=renew: check(folder, renew=renew),
            InputError,
            "takes its labels at run time, so it has no answers of its own to check",
        )
        for renew in (False, True)
    ),
    (lambda folder: load(folder, decoding="legal"), SettingsError, "decoding = 'legal'"),
    (lambda folder: Tagger.load(folder, backend="onnx"), InputError, "holds no onnx/; run `nerbert export`"),
    (lambda folder: load(folder, head="linear"), InputError, "not a tagger: its weights hold no head"),
]


@WORDS_ALONE
@pytest.mark.parametrize(("act", "kind", "words"), REFUSED)
def test_messages(folder: Path, act: Act, kind: type[NerbertError], words: str) -> None:
    with raises(kind, words):
        act(folder)
