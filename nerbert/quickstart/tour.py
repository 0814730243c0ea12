"""The quickstart's stages in order; with two cores each encoder has a process. Cost: each imports torch."""

import io
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

import nerbert
from nerbert.about import __version__
from nerbert.corpus.shards import read_manifest
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, OutputExists, refused
from nerbert.evaluation.datasets.load import open_data, write_sample
from nerbert.evaluation.evaluate import evaluate
from nerbert.evaluation.quickstart import EncoderResult, Marked, QuickstartResult, TaggedText, means_by_type
from nerbert.executors import LocalExecutor
from nerbert.finetuning.domains import Domains
from nerbert.finetuning.finetune import TaggerOutput, finetune
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.model.folder import read_card
from nerbert.process import cores
from nerbert.records import Example, Span
from nerbert.render.cards import write_tagger_card
from nerbert.render.quickstart import NEXT, QuickstartReport, sources, write_folder, write_page
from nerbert.rng import uniform
from nerbert.tagger.self_check import add_check
from nerbert.tagger.tagger import Tagger
from nerbert.terminal import tell

SAMPLE = Path(__file__).parent.parent / "sample"
DEFAULT_TEXT = (
    "A pair of ivory dividers, once Captain Ole Brandt's, reached us from Tromsø in 1911 with papers of the brig "
    "Margarethe and a compass by Larsen & Holm."
)
PAGE = "nerbert-quickstart.html"


class _Pretraining(NamedTuple):
    """How an encoder is pre-trained, and the figure reported for it."""

    title: str
    objective: Literal["mlm", "tagging"]
    figure: str
    measure: str
    label_set: str


_TASKS = {
    "mlm": _Pretraining("masked words of the same text", "mlm", "mlm_accuracy", "masked tokens found", ""),
    "ner": _Pretraining(  # so small a corpus has too few mentions for 315 categories
        "NER pre-trained: types of its links", "tagging", "typed_f1", "F1 on types of links", "4types"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tour:
    """The sizes of a quickstart; the defaults take about two minutes on two cores."""

    backbone: str = "embedded-mlm"
    """The encoder that both start from."""
    sentences: int = 30
    """Number of sentences that the taggers are fine-tuned on."""
    pretrain_steps: int = 160
    pretrain_batch: int = 32
    pretrain_rate: float = 5e-4
    finetune_steps: int = 80
    finetune_batch: int = 16
    finetune_rate: float = 5e-4
    seeds: tuple[int, ...] = (1, 2, 3)
    examples: int = 6
    """Number of test sentences that the page shows."""
    workers: int = field(default_factory=lambda: min(len(_TASKS), cores()))
    """Encoders that are trained in parallel, each in a process."""


def run_quickstart(text: str, keep: Path | None, tour: Tour | None = None) -> QuickstartResult:
    """Run the quickstart in `keep`, or a scratch folder; print results, write `report.html` there or `PAGE` here."""
    if keep and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise OutputExists(f"{keep}: not an empty folder; give --keep a new one")
    page, reporter = keep / "report.html" if keep else Path(PAGE), QuickstartReport()
    if keep:
        with refused(f"{keep}: can't be made", of=OSError, remedy="give --keep another folder"):
            keep.mkdir(parents=True, exist_ok=True)
    elif page.is_dir():
        raise InputError(f"{page}: is a folder; give --keep another one for the page")
    with nullcontext(str(keep)) if keep else TemporaryDirectory(prefix="nerbert-quickstart-") as name:
        folder = Path(name)
        readable = text.encode("utf-8", "replace").decode()  # bytes of a command line that are no text become "?"
        result = take_tour(folder, readable or DEFAULT_TEXT, reporter, tour or Tour())
        manifest = read_manifest(folder / "corpus")
        if keep:
            write_folder(result, manifest, folder)
            result.write(folder / "result.json")
        else:
            write_page(result, manifest, page)
    reporter.say("end", result=result, page=page, keep=keep, next=NEXT)
    return result


def take_tour(folder: Path, text: str, reporter: QuickstartReport, tour: Tour) -> QuickstartResult:
    """Run all stages in `folder`, from the sample's dump to tags in `text`."""
    begin = time.monotonic()
    (dump,) = (SAMPLE / "wiki").glob("*multistream.xml.bz2")
    manifest = nerbert.build_corpus(dump, SAMPLE / "knowledge", folder / "corpus", min_mentions=5).manifest
    reporter.corpus(manifest)
    data = open_data(str(SAMPLE / "domain"))
    subset = write_sample(data, str(tour.sentences), 1, folder / "data")
    reporter.say("encoders", steps=tour.pretrain_steps, label_set=_TASKS["ner"].label_set)
    with LocalExecutor(tour.workers) as executor:
        pretrained = []
        for encoder in executor.map_ordered(partial(_pretrain, folder, tour), _TASKS):
            reporter.say("encoder", encoder=encoder)
            pretrained.append(encoder)
        reporter.say("domain", subset=subset, seeds=len(tour.seeds))
        encoders = []
        for encoder in executor.map_ordered(partial(_score_taggers, folder, tour), pretrained):
            reporter.say("taggers", encoder=encoder)
            encoders.append(encoder)
    taggers = {key: Tagger.load(folder / f"tagger-{key}" / f"seed-{tour.seeds[0]}") for key in _TASKS}
    spans = taggers["ner"].tag(text)
    result = QuickstartResult(
        encoders=(encoders[0], encoders[1]), seeds=tour.seeds, train=tour.sentences, mentions=subset.reached,
        test=len(data.test), test_mentions=sum(len(example.spans) for example in data.test),
        examples=_draw_examples(data.test, taggers, tour.examples),
        own=TaggedText(text, {"ner": _marked_spans(spans)}),
        confidences=tuple(span.confidence for span in spans), made=_describe(tour, manifest),
        seconds=time.monotonic() - begin,
    )  # fmt: skip
    reporter.outcome(result)
    reporter.show_tags(text, spans)
    return result


def _pretrain(folder: Path, tour: Tour, key: str) -> EncoderResult:
    """Train the embedded encoder on the corpus; return its figures without scores."""
    task = _TASKS[key]
    with TemporaryDirectory() as cache, _run_beside(task.title, tour) as threads:
        settings = PretrainSettings(
            corpus=(folder / "corpus",), backbone=tour.backbone, objective=task.objective, cache=cache,
            label_set=task.label_set, batch_size=tour.pretrain_batch, learning_rate=tour.pretrain_rate,
            min_steps=tour.pretrain_steps, max_steps=tour.pretrain_steps, threads=threads,
        )  # fmt: skip
        log = nerbert.pretrain(folder / f"encoder-{key}", settings)
    return EncoderResult(
        key=key, title=task.title, measure=task.measure, steps=log.steps, tokens=log.tokens,
        kept=int(read_card(str(folder / f"encoder-{key}"))["best_step"]), seconds=log.seconds,
        curve=tuple((int(entry["step"]), entry[task.figure]) for entry in log.entries), f1=(), spans_f1=(), by_type={},
    )  # fmt: skip


def _score_taggers(folder: Path, tour: Tour, encoder: EncoderResult) -> EncoderResult:
    """Finetune an encoder on the examples, once for each seed; return it with the taggers' scores."""
    steps, tagger = tour.finetune_steps, folder / f"tagger-{encoder.key}"
    with _run_beside(encoder.title, tour) as threads:
        settings = FinetuneSettings(
            min_steps=steps, max_steps=steps, batch_size=tour.finetune_batch, learning_rate=tour.finetune_rate,
            threads=threads,
        )  # fmt: skip
        output = TaggerOutput(tagger, tour.seeds, card=add_check(write_tagger_card))
        finetune(str(folder / f"encoder-{encoder.key}"), Domains(folder / "data"), output, settings)
        scored = evaluate(tagger, folder / "data" / "test.conll")
    scores = list(scored.scores.values())
    return replace(
        encoder, f1=tuple(score.f1 for score in scores), by_type=means_by_type(scores),
        spans_f1=tuple(judged.span.f1 for judged in scored.judgements.values()),
    )  # fmt: skip


@contextmanager
def _run_beside(title: str, tour: Tour) -> Iterator[int]:
    """Yield the threads of a training; one of several prints its title before each line, and shows no progress bar."""
    with redirect_stderr(_Titled(title)) if tour.workers > 1 else nullcontext():
        yield _threads(tour)


def _threads(tour: Tour) -> int:
    """Return torch's threads in each process: its share of the cores, at most torch's default."""
    import torch

    return max(1, min(torch.get_num_threads(), cores() // tour.workers))


class _Titled(io.StringIO):
    """Standard error of one training among several: each line gets a title."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title, self._errors = title, sys.stderr

    def write(self, text: str) -> int:
        with redirect_stderr(self._errors):
            for line in filter(None, text.splitlines()):
                tell(f"{self._title}: {line}")
        return len(text)


def _draw_examples(test: list[Example], taggers: dict[str, Tagger], count: int) -> tuple[TaggedText, ...]:
    """Draw test sentences with mentions at random: as annotated, and as each tagger tags them."""
    examples = (example for example in test if example.spans)
    drawn = sorted(examples, key=lambda example: uniform(0, "quickstart", example.text))[:count]
    marked = {"gold": [example.spans for example in drawn]}
    marked |= {key: [tuple(spans) for spans in tagger.tag_many(drawn)] for key, tagger in taggers.items()}
    return tuple(
        TaggedText(example.text, {key: _marked_spans(spans[number]) for key, spans in marked.items()})
        for number, example in enumerate(drawn)
    )


def _marked_spans(spans: Iterable[Span]) -> tuple[Marked, ...]:
    return tuple((span.start, span.end, span.type) for span in spans)


def _describe(tour: Tour, manifest: Mapping[str, Any]) -> dict[str, str]:
    import torch
    import transformers

    pretraining = f"{tour.pretrain_steps} steps of {tour.pretrain_batch} sentences"
    finetuning = f"{tour.finetune_steps} steps of {tour.finetune_batch} sentences"
    return {
        "nerbert": __version__, "torch": torch.__version__, "transformers": transformers.__version__,
        "Python": platform.python_version(), "machine": f"{platform.machine()}, {cores()} cores",
        "threads of torch": str(_threads(tour)), "types of mentions": sources(manifest),
        "pre-training of each encoder": f"{pretraining}, learning rate {tour.pretrain_rate:g}",
        "label set of the links' types": _TASKS["ner"].label_set,
        "fine-tuning": f"{finetuning}, learning rate {tour.finetune_rate:g}",
        "seeds of fine-tuning": ", ".join(map(str, tour.seeds)),
    }  # fmt: skip
