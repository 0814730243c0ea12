"""The tour itself: it reads like the road it takes, and what it says on the way is what the page says later."""

import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from rich.console import Console

import nerbert
from nerbert import __version__
from nerbert.artifacts import publish
from nerbert.corpus.build import CorpusPlan
from nerbert.corpus.settings import CorpusSettings
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, OutputExists
from nerbert.evaluation.datasets.load import open_data
from nerbert.evaluation.datasets.sample import write_sample
from nerbert.evaluation.evaluate import evaluate
from nerbert.executors import cores
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.labels import spans_from_bio
from nerbert.model.backbone import read_card
from nerbert.quickstart.result import Marked, Result, Shown, Way, means_by_type
from nerbert.records import Example
from nerbert.render.quickstart import terminal as telling
from nerbert.render.quickstart.guide import guide
from nerbert.render.quickstart.page import check_page_free, write_page
from nerbert.render.quickstart.picture import write_picture
from nerbert.rng import coin
from nerbert.tagger.tagger import Tagger

SAMPLE = Path(__file__).parent.parent / "sample"
DEFAULT_TEXT = (
    "A pair of ivory dividers, once Captain Ole Brandt's, reached us from Tromsø in 1911 with papers of the brig "
    "Margarethe and a compass by Larsen & Holm."
)
PAGE = "nerbert-quickstart.html"
_MLM, _NER = "mlm", "ner"
_TITLES = {_MLM: "masked words of the same text", _NER: "NER pre-trained: types of its links"}
_OBJECTIVES: dict[str, Literal["mlm", "tagging"]] = {_MLM: "mlm", _NER: "tagging"}
_LABEL_SETS = {_MLM: "", _NER: "4types"}
"""So small a corpus has too few mentions for the 315 categories."""
_FIGURES = {_MLM: "mlm_accuracy", _NER: "typed_f1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tour:
    """The sizes of the tour; the defaults take less than three minutes on two cores."""

    backbone: str = "embedded-mlm"
    """Encoder that both ways start from."""
    sentences: int = 30
    """What the taggers are fine-tuned on."""
    pretrain_steps: int = 240
    """Steps for each way."""
    pretrain_batch: int = 32
    """Sentences a step."""
    pretrain_rate: float = 5e-4
    finetune_steps: int = 120
    """Steps for each way and seed."""
    finetune_batch: int = 16
    finetune_rate: float = 5e-4
    seeds: tuple[int, ...] = (1, 2, 3)
    examples: int = 6
    """Test sentences that the page shows."""


def run_quickstart(text: str, keep: Path | None, report: Path | None = None, tour: Tour | None = None) -> Result:
    """Take the tour in `keep`, or in a folder that is removed; print what came out, and write the page.

    The page is `report`, else `report.html` in `keep`, else `nerbert-quickstart.html` in the current folder.
    """
    if keep and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise OutputExists(f"{keep}: not an empty folder; give --keep a new one")
    page = report or (keep / "report.html" if keep else Path(PAGE))
    console = Console(soft_wrap=True, highlight=False)
    with _folder(keep) as folder:
        if report or not keep:
            check_page_free(page)
        readable = text.encode("utf-8", "replace").decode()  # bytes of a command line that are no text become "?"
        result = take_tour(folder, readable or DEFAULT_TEXT, console, tour or Tour())
        if keep:
            _leave(result, folder)
        if report or not keep:
            write_page(result, folder / "corpus", page)
    telling.end(console, result, page, keep)
    return result


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep:
        try:
            keep.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{keep}: can't be made: {error.strerror}; give --keep another folder") from error
        yield keep
        return
    with TemporaryDirectory(prefix="nerbert-quickstart-") as folder:
        yield Path(folder)


def take_tour(folder: Path, text: str, console: Console, tour: Tour) -> Result:
    """Walk the road in `folder`, from the sample's dump to tags in `text`."""
    begin = time.monotonic()
    manifest = _make_corpus(folder)
    telling.corpus(console, manifest)
    data = open_data(str(SAMPLE / "domain"))
    subset = write_sample(data, str(tour.sentences), 1, folder / "data")
    test = data.test
    ways, taggers = [], {}
    telling.ways(console, tour.pretrain_steps, _LABEL_SETS[_NER])
    curves = {key: _pretrained(folder, key, tour, console) for key in (_MLM, _NER)}
    telling.domain(console, subset, len(tour.seeds))
    for key in (_MLM, _NER):
        ways.append(_judged(folder, key, tour, curves[key]))
        telling.way(console, ways[-1])
        taggers[key] = Tagger.load(folder / f"tagger-{key}" / f"seed-{tour.seeds[0]}")
    spans = taggers[_NER].tag(text)
    result = Result(
        ways=(ways[0], ways[1]), seeds=tour.seeds, train=tour.sentences, mentions=subset.reached, test=len(test),
        test_mentions=sum(len(each.spans) for each in test), examples=_examples(test, taggers, tour.examples),
        own=Shown(text, {_NER: tuple((each.start, each.end, each.type) for each in spans)}),
        confidences=tuple(each.confidence for each in spans), made=_made(tour, manifest),
        seconds=time.monotonic() - begin,
    )  # fmt: skip
    telling.outcome(console, result)
    telling.tagged(console, text, spans)
    return result


def _make_corpus(folder: Path) -> dict[str, Any]:
    """Dump → corpus, with the sample's knowledge."""
    (dump,) = (SAMPLE / "wiki").glob("*multistream.xml.bz2")
    plan = CorpusPlan((dump,), (SAMPLE / "knowledge",), folder / "corpus")
    return nerbert.build_corpus(plan, CorpusSettings(min_mentions=5)).manifest


@dataclass(frozen=True, slots=True)
class _Curve:
    steps: int
    pieces: int
    seconds: float
    points: tuple[tuple[int, float], ...]
    kept: int


def _pretrained(folder: Path, key: str, tour: Tour, console: Console) -> _Curve:
    """Corpus → encoder: the embedded encoder's masked-language form, some steps on."""
    with TemporaryDirectory() as cache:
        settings = PretrainSettings(
            corpus=folder / "corpus", backbone=tour.backbone, objective=_OBJECTIVES[key], cache=cache,
            label_set=_LABEL_SETS[key],
            batch_size=tour.pretrain_batch, learning_rate=tour.pretrain_rate, min_steps=tour.pretrain_steps,
            max_steps=tour.pretrain_steps,
        )  # fmt: skip
        log = nerbert.pretrain(settings, folder / f"encoder-{key}")
    points = tuple((int(entry["step"]), entry[_FIGURES[key]]) for entry in log.entries)
    kept = int(read_card(str(folder / f"encoder-{key}"))["best_step"])
    curve = _Curve(log.steps, log.tokens, log.seconds, points, kept)
    telling.encoder(console, _TITLES[key], curve.steps, curve.pieces, curve.seconds, key, dict(points)[kept])
    return curve


def _judged(folder: Path, key: str, tour: Tour, curve: _Curve) -> Way:
    """Encoder + examples → taggers, one a seed → F1."""
    steps = tour.finetune_steps
    settings = FinetuneSettings(
        min_steps=steps, max_steps=steps, batch_size=tour.finetune_batch, learning_rate=tour.finetune_rate
    )
    tagger = folder / f"tagger-{key}"
    nerbert.finetune(str(folder / f"encoder-{key}"), folder / "data", tagger, settings, seeds=tour.seeds)
    found = evaluate(tagger, folder / "data" / "test.conll")
    scores = list(found.scores.values())
    return Way(
        key, _TITLES[key], curve.steps, curve.kept, curve.pieces, curve.seconds, curve.points,
        f1=tuple(score.f1 for score in scores),
        spans_f1=tuple(judged.span.f1 for judged in found.judgements.values()), by_type=means_by_type(scores),
    )  # fmt: skip


def _examples(test: list[Example], taggers: dict[str, Tagger], count: int) -> tuple[Shown, ...]:
    """Some test sentences with mentions, drawn by coin: as annotated, and as each tagger tags them."""
    drawn = sorted((each for each in test if each.spans), key=lambda each: coin(0, "quickstart", each.text))[:count]
    found = {key: [spans_from_bio(tags.tags) for tags in tagger.tag_examples(drawn)] for key, tagger in taggers.items()}
    shown = []
    for place, each in enumerate(drawn):
        gold: tuple[Marked, ...] = tuple((span.start, span.end, span.type) for span in each.spans)
        by_tagger = {key: _placed(each, spans[place]) for key, spans in found.items()}
        shown.append(Shown(each.text, {"gold": gold, **by_tagger}))
    return tuple(shown)


def _placed(example: Example, spans: list[tuple[int, int, str]]) -> tuple[Marked, ...]:
    """Spans of words as spans of characters."""
    return tuple((example.words[first][0], example.words[last - 1][1], name) for first, last, name in spans)


def _made(tour: Tour, manifest: Mapping[str, Any]) -> dict[str, str]:
    """How it was made; nothing of the machine but its kind."""
    import torch
    import transformers

    return {
        "nerbert": __version__, "torch": torch.__version__, "transformers": transformers.__version__,
        "Python": platform.python_version(), "machine": f"{platform.machine()}, {cores()} cores",
        "threads of torch": str(torch.get_num_threads()), "types of mentions": telling.sources(manifest),
        "pre-training, each way": _steps(tour.pretrain_steps, tour.pretrain_batch, tour.pretrain_rate),
        "label set of the links' types": _LABEL_SETS[_NER],
        "fine-tuning": _steps(tour.finetune_steps, tour.finetune_batch, tour.finetune_rate),
        "seeds of fine-tuning": ", ".join(map(str, tour.seeds)),
    }  # fmt: skip


def _steps(steps: int, batch: int, rate: float) -> str:
    return f"{steps} steps of {batch} sentences, learning rate {rate:g}"


def _leave(result: Result, folder: Path) -> None:
    """What else `--keep` leaves: the page, the figures, the picture, and what each file is."""
    write_page(result, folder / "corpus", folder / "report.html")
    result.write(folder / "result.json")
    write_picture(result, folder / "result.svg")
    with publish(folder / "README.md") as draft:
        draft.write_text(guide(result), encoding="utf-8")
