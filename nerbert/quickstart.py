"""The three-minute tour: the whole road on a sample wiki and a sample domain that ship with the package.

Every number is computed. The encoder starts from random weights and sees a few hundred sentences, so its F1 says
that the road works, not how good NER-BERT is; README's results are for that.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from nerbert.corpus.build import CorpusPlan, build_corpus
from nerbert.corpus.report import print_summary
from nerbert.corpus.settings import CorpusSettings
from nerbert.encoder.pretrain import pretrain, write_fresh
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import OutputExists
from nerbert.evaluation.evaluate import Evaluation, evaluate
from nerbert.finetune.finetune import finetune
from nerbert.finetune.settings import FinetuneSettings
from nerbert.show import percent, plain
from nerbert.tagger.stream import print_tagged
from nerbert.tagger.tagger import Tagger

SAMPLE = Path(__file__).parent / "sample"
SEEDS = (1, 2)
DEFAULT_TEXT = (
    "The brig Margarethe was built by Larsen & Holm in Tromsø and sailed under Captain Ole Brandt until 1911."
)
_HONESTLY = (
    "Both start from random weights and have read a few hundred sentences: too few for names that they have never "
    "seen. What pre-training does for a real encoder stands in README.md, under results."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tour:
    """The sizes of the tour; the defaults take about two minutes on two cores."""

    epochs: float = 20.0
    finetune_epochs: float = 20.0
    layers: int = 4


def run_quickstart(text: str, keep: Path | None) -> None:
    """Run the tour in `keep`, or in a folder that is removed, and print what came out."""
    if keep and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise OutputExists(f"{keep}: not an empty folder; give --keep a new one")
    console = Console(soft_wrap=True)
    with nullcontext(str(keep)) if keep else TemporaryDirectory() as folder:
        take_tour(Path(folder), text or DEFAULT_TEXT, console, Tour())
    if keep:
        console.print(plain(f"everything is in {keep}"))


def take_tour(folder: Path, text: str, console: Console, tour: Tour) -> None:
    """Walk the road in `folder`, from the sample's dump to tags in `text`."""
    console.rule("1. dump → corpus")
    corpus = folder / "corpus"
    plan = CorpusPlan((SAMPLE / "wiki.xml",), (SAMPLE / "knowledge",), corpus)
    print_summary(build_corpus(plan, CorpusSettings(min_mentions=5)), corpus, console)

    console.rule("2. corpus → encoder")
    settings = PretrainSettings(corpus=corpus, epochs=tour.epochs, learning_rate=3e-4, fresh_layers=tour.layers)
    write_fresh(settings, folder / "untrained")
    log = pretrain(settings, folder / "encoder")
    best = max(entry["typed_f1"] for entry in log.entries)
    figures = f"{log.steps} steps, {log.tokens:,} pieces in {log.seconds:.0f} s"
    console.print(f"{figures}; best validation F1 on typed entities {percent(best)}", highlight=False)

    console.rule("3. encoder + examples → tagger → F1")
    scores = {name: _finetuned(folder, name, tour) for name in ("untrained", "encoder")}
    console.print(_scores(scores))
    console.print(_HONESTLY, style="dim", highlight=False)

    console.rule("4. tags in your own sentence")
    print_tagged(console, text, Tagger.load(folder / "tagger-encoder" / f"seed-{SEEDS[0]}").tag(text))


def _finetuned(folder: Path, encoder: str, tour: Tour) -> Evaluation:
    """Fine-tune one encoder on the sample domain, once a seed, and score its taggers."""
    settings = FinetuneSettings(epochs=tour.finetune_epochs, least_steps=0, learning_rate=3e-4)
    tagger = folder / f"tagger-{encoder}"
    finetune(str(folder / encoder), SAMPLE / "domain", tagger, settings, seeds=SEEDS)
    return evaluate(tagger, SAMPLE / "domain" / "test.conll")


def _scores(scores: dict[str, Evaluation]) -> Table:
    sentences = next(iter(scores.values())).sentences
    title = f"sample domain, {sentences} test sentences, entity F1 in percent"
    headings = ("encoder before fine-tuning", "F1, mean ± sd", *(f"seed {seed}" for seed in SEEDS))
    table = Table(*headings, title=title, title_justify="left")
    names = {"untrained": "random weights", "encoder": "NER pre-trained on the sample wiki"}
    for name, evaluation in scores.items():
        each = [percent(score.f1) for score in evaluation.scores.values()]
        table.add_row(names[name], f"{percent(evaluation.f1_mean)} ± {percent(evaluation.f1_sd)}", *each)
    return table
