"""Valid model folders of every kind that nerbert loads, as small as can be: what hostile ones are made from."""

from pathlib import Path
from typing import Any

from nerbert.formats.conll import example_of
from nerbert.labels import tag_names
from nerbert.model.backbone import save_tokenizer
from nerbert.model.folder import write_card
from nerbert.model.surgery import train_tokenizer
from nerbert.tagger.self_check import write_check
from nerbert_papers.cdlm.cdlm_model import CdlmModel, CdlmShape
from nerbert_papers.cdlm.word_pieces import count_words, make_vocabulary
from tests.model.gliner.conftest import write_model as write_gliner
from tests.model.gliner2.conftest import write_boundary
from tests.model.gliner2.conftest import write_model as write_gliner2
from tests.tagger.test_concept_backends import made as write_concepts
from tests.tagger.test_export_kinds import made as write_linear

LABELS = ["ship", "port: where ships call"]
TEXT = "The Margarethe, built by Larsen, left Oslo 👩‍👧 on a Monday. Yes."
CARD: dict[str, Any] = {
    "word_splitter": "unicode-words-1",
    "language": "en",
    "max_length": 24,
    "threshold": 0.1,
    "calibration": {"temperature": 1.5},
    "thresholds": {"ship": 0.2},
    "previous": {"calibration": {"temperature": 1.1}, "threshold": 0.3, "thresholds": {}},
}


def write_folders(root: Path) -> dict[str, Path]:
    """Write a folder of each kind below `root`; return them by name."""
    tokenizer = train_tokenizer([TEXT, "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ"] * 3, 120)
    linear = write_linear(root / "linear", "bert")
    write_card(linear, "tagger", head="linear", types=["person", "ship"], **CARD)
    write_check(linear)
    joined = write_linear(root / "joined", "deberta-v2", 1)
    names = write_concepts(root / "names", boundaries=True, wide=48)
    write_card(names, "tagger", head="concepts", types=["ship", "port"], words_of_types={"port": "harbour"}, **CARD)
    words = write_concepts(root / "words")
    gliner = write_gliner(root / "gliner", tokenizer)
    two = write_gliner(root / "two", tokenizer, labels_encoder="unknown/encoder", max_width=1)
    gliner2 = write_gliner2(root / "gliner2", tokenizer)
    boundary = write_boundary(write_gliner2(root / "boundary", tokenizer))
    cdlm = _write_cdlm(root / "cdlm")
    return {path.name: path for path in (linear, joined, names, words, gliner, two, gliner2, boundary, cdlm)}


def write_exported(root: Path) -> dict[str, Path]:
    """Write folders with exported graphs below `root`; return them by name."""
    from nerbert.tagger.export import export

    folders = write_folders(root)
    exported = {f"{name}-onnx": folders[name] for name in ("linear", "names", "gliner", "gliner2")}
    for name, path in exported.items():
        exported[name] = path.rename(root / name)
        export(exported[name], int8=name == "linear-onnx")
    return exported


def _write_cdlm(folder: Path) -> Path:
    examples = [example_of(f"Ada{'s' * n} saw boats".split(), ["B-x", "O", "O"]) for n in range(3)]
    vocabulary = make_vocabulary(examples)
    shape = CdlmShape(
        words=count_words(vocabulary),
        pieces=len(vocabulary),
        tags=tag_names(["x", "y"]),
        source_tags=tag_names(["z"]),
        word_width=5,
        character_width=4,
        filters=3,
        states=6,
        task_width=2,
        domain_width=3,
        dropout=0.5,
    )
    folder.mkdir()
    CdlmModel(shape).save_pretrained(folder)
    save_tokenizer(folder, vocabulary)
    write_card(folder, "tagger", head="cdlm", **CARD)
    return folder
