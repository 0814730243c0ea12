"""The quickstart's stages in order; the toy and the good model run in separate processes. Cost: each imports torch."""

import io
import time
from collections.abc import Callable
from contextlib import nullcontext, redirect_stderr
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import nerbert
from nerbert.data.catalogue import open_data, write_sample
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, OutputExists, refused
from nerbert.evaluation.evaluate import evaluate
from nerbert.evaluation.quickstart import ModelScores, QuickstartResult
from nerbert.executors import LocalExecutor
from nerbert.finetuning.domains import Domains
from nerbert.finetuning.finetune import TaggerOutput, finetune
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.model.folder import find_named, read_card
from nerbert.process import cores
from nerbert.render.cards import finish_tagger
from nerbert.render.quickstart import NEXT, QuickstartReport
from nerbert.tagger.tagger import Tagger

SAMPLE = Path(__file__).parent.parent / "sample"
DEFAULT_TEXT = (
    "A pair of ivory dividers, once Captain Ole Brandt's, reached us from Tromsø in 1911 with papers of the brig "
    "Margarethe and a compass by Larsen & Holm."
)


class Tour(NamedTuple):
    """The sizes of a quickstart; the defaults take about two minutes on two cores."""

    model: str = "minilm"
    """The good model, which takes types at run time. If its package isn't installed, only the toy runs."""
    sentences: int = 30
    """Number of sentences that the taggers are fine-tuned on."""
    pretraining: PretrainSettings = PretrainSettings(
        # The corpus is too small for 315 categories.
        label_set="4types",
        fresh_num_layers=2,
        fresh_hidden_size=128,
        fresh_vocab_size=4000,
        min_steps=200,
        max_steps=200,
        learning_rate=2e-3,
    )
    toy: FinetuneSettings = FinetuneSettings(min_steps=120, max_steps=120, learning_rate=1e-3)
    good: FinetuneSettings = FinetuneSettings(min_steps=50, max_steps=50)
    seeds: tuple[int, ...] = (1, 2, 3)
    """Seeds of the toy's fine-tuning; the good model uses only the first."""
    workers: int = min(2, cores())
    """Number of models trained in parallel, each in a separate process."""


def run_quickstart(text: str, keep: Path | None, tour: Tour | None = None) -> QuickstartResult:
    """Run the quickstart in `keep`, or a scratch folder, and print its results."""
    if keep and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise OutputExists(f"{keep}: not an empty folder; give --keep a new one")
    if keep:
        with refused(f"{keep}: can't be made", of=OSError, remedy="give --keep another folder"):
            keep.mkdir(parents=True, exist_ok=True)
    reporter = QuickstartReport()
    # Invalid bytes of a command line become "?", since neither model nor terminal can take them.
    readable = text.encode("utf-8", "replace").decode()
    with nullcontext(str(keep)) if keep else TemporaryDirectory(prefix="nerbert-quickstart-") as name:
        result = take_tour(Path(name), readable or DEFAULT_TEXT, reporter, tour or Tour())
    reporter.say("end", result=result, keep=keep, next=NEXT)
    return result


def take_tour(folder: Path, text: str, reporter: QuickstartReport, tour: Tour) -> QuickstartResult:
    """Run all stages in `folder`, from the sample's dump to tags in `text`."""
    begin = time.monotonic()
    (dump,) = (SAMPLE / "wiki").glob("*multistream.xml.bz2")
    manifest = nerbert.build_corpus(dump, SAMPLE / "knowledge", folder / "corpus", min_mentions=5).manifest
    reporter.corpus(manifest)
    data = open_data(str(SAMPLE / "domain"))
    subset = write_sample(data, str(tour.sentences), 1, folder / "data")
    model, missing = "", ""
    try:
        model = find_named(tour.model)
    except InputError as error:
        missing = str(error)
    reporter.say("encoder", settings=tour.pretraining)
    # The toy first: its result is shown while the good model still runs.
    chains = [partial(_make_toy, folder, tour), *([partial(_try_model, folder, tour, model)] if model else [])]
    workers = min(tour.workers, len(chains))
    models = list[ModelScores]()
    with LocalExecutor(workers) as executor:
        for scores in executor.map_ordered(partial(_run_chain, workers), chains):
            # The domain is described once, after the toy's pre-training, whose curve it shows.
            if not models:
                log = read_card(str(folder / "encoder"))["log"]
                curve = tuple((int(entry["step"]), entry["typed_f1"]) for entry in log)
                reporter.say("domain", curve=curve, subset=subset, tour=tour, missing=missing)
            reporter.say("scores", models=scores)
            models += scores
    best = models[-1]
    spans = Tagger.load(folder / best.key / f"seed-{tour.seeds[0]}").tag(text)
    mentions = sum(len(example.spans) for example in data.test)
    seconds = time.monotonic() - begin
    result = QuickstartResult(tuple(models), len(data.test), mentions, text, spans, missing, seconds)
    reporter.outcome(result)
    reporter.show_tags(text, spans, best.label)
    return result


def _run_chain(workers: int, chain: Callable[[], list[ModelScores]]) -> list[ModelScores]:
    """Run a chain of stages with its share of the cores, at most torch's default."""
    import torch

    # Two trainings with all threads each would slow each other down.
    torch.set_num_threads(max(1, min(torch.get_num_threads(), cores() // workers)))
    return chain()


def _make_toy(folder: Path, tour: Tour) -> list[ModelScores]:
    """Train an encoder with random weights on the corpus, and taggers from it; return their scores."""
    # The corpus of a quickstart is never read again, so its cache goes with it.
    with TemporaryDirectory() as cache:
        nerbert.pretrain(folder / "encoder", replace(tour.pretraining, corpus=(folder / "corpus",), cache=cache))
        return [_score_taggers(folder, tour, "toy", str(folder / "encoder"), tour.toy)]


def _try_model(folder: Path, tour: Tour, model: str) -> list[ModelScores]:
    """Return a model's scores, zero-shot by the names of the domain's types and fine-tuned; silent next to the toy."""
    # Two progress bars on one terminal would overwrite each other.
    with redirect_stderr(io.StringIO()) if tour.workers > 1 else nullcontext():
        scored = evaluate(model, folder / "data" / "test.conll")
        tuned = _score_taggers(folder, tour._replace(seeds=tour.seeds[:1]), tour.model, model, tour.good)
    return [ModelScores.of(tour.model, tour.model, 0, scored), tuned]


def _score_taggers(folder: Path, tour: Tour, name: str, start: str, settings: FinetuneSettings) -> ModelScores:
    """Fine-tune a model on the examples, once for each seed; return the taggers' scores."""
    taggers = folder / f"tagger-{name}"
    output = TaggerOutput(taggers, tour.seeds, card=finish_tagger)
    finetune(start, Domains(folder / "data"), output, settings)
    return ModelScores.of(taggers.name, name, tour.sentences, evaluate(taggers, folder / "data" / "test.conll"))
