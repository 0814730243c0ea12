"""Split sentences with Punkt (Kiss & Strunk 2006), as NER-BERT does (§2.2): NLTK's code, and a model in NLTK's form.

A model is a folder of four tab-separated files, never a pickle. Cost: slower than the rules, with more errors.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

from nerbert import __version__
from nerbert.artifacts import publish_folder, write_json
from nerbert.config import refuse
from nerbert.corpus.dump.parts import pair_indexes
from nerbert.corpus.settings import CorpusSettings
from nerbert.errors import InputError, need, os_refused, refused
from nerbert.sentences import RuleSplitter, Span, trimmed
from nerbert.sources.files import Source

_FILES = ("abbrev_types.txt", "collocations.tab", "ortho_context.tab", "sent_starters.txt")
_LARGEST = 256 << 20
_REMEDY = "name a language's folder of NLTK's punkt_tab, or make one with `nerbert corpus punkt`"


class PunktSplitter:
    """A sentence splitter with a Punkt model."""

    def __init__(self, folder: Path) -> None:
        need("punkt", "nltk")
        import nltk

        files: tuple[bytes, ...] = ()
        for path in (folder / name for name in _FILES):
            with os_refused(f"{path}: can't be read as part of a model of Punkt", _REMEDY):
                if path.stat().st_size > _LARGEST or not path.is_file():
                    raise InputError(f"{path}: no file of at most {_LARGEST >> 20} MB; {_REMEDY}")
                files += (path.read_bytes(),)
        with refused(f"{folder}: not a Punkt model; {_REMEDY}"):
            self._punkt = _tokenizer(files)
        self.name = f"punkt-{nltk.__version__} {sha256(bytes(1).join(files)).hexdigest()[:16]}"

    def spans(self, text: str) -> list[Span]:
        """Return the sentences of a text, whose paragraphs are lines, in order."""
        found: list[Span] = []
        begin = 0
        for line in text.split("\n"):
            found += [(begin + start, begin + end) for start, end in self._punkt.span_tokenize(line)]
            begin += len(line) + 1
        return trimmed(text, found)


@lru_cache(maxsize=1)
def _tokenizer(files: tuple[bytes, ...]) -> Any:
    """Return NLTK's tokenizer for a model's files; a process decodes the same model once."""
    from nltk.tabdata import PunktDecoder
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    abbreviations, collocations, context, starters = (TextIOWrapper(BytesIO(each), "utf-8") for each in files)
    decoder, model = PunktDecoder(), PunktParameters()
    model.abbrev_types, model.sent_starters = decoder.txt2set(abbreviations), decoder.txt2set(starters)
    model.collocations = set(decoder.tab2tups(collocations))
    model.ortho_context = Counter(decoder.tab2intdict(context))  # a defaultdict would grow with each word asked for
    return PunktSentenceTokenizer(model)


def open_splitter(settings: CorpusSettings, language: str) -> RuleSplitter | PunktSplitter:
    """Return the splitter that the settings name; raise InputError for a folder that is no model."""
    punkt = settings.sentence_splitter == "punkt"
    return PunktSplitter(Path(settings.punkt_model)) if punkt else RuleSplitter(language)


def train_punkt(dumps: Sequence[Path | str], output: Path, characters: int, *, overwrite: bool = False) -> None:
    """Train a Punkt model with NLTK on the first `characters` of the dumps' articles, and write its folder."""
    refuse(characters < 1, "characters", characters, "at least 1")
    need("punkt", "nltk")
    import nltk
    from nltk.tokenize.punkt import PunktTrainer

    sources = [source for source, _ in pair_indexes([Source(str(dump)) for dump in dumps])]
    with publish_folder(output, overwrite=overwrite) as folder:
        text = "".join(_texts(sources, characters))[:characters]
        if not text:
            raise InputError(f"{', '.join(map(str, sources)) or 'no dump'}: no article to learn from; give a dump")
        model = PunktTrainer(text).get_params()
        rows = (
            ((word,) for word in model.abbrev_types),
            model.collocations,
            ((word, str(bits)) for word, bits in model.ortho_context.items()),
            ((word,) for word in model.sent_starters),
        )
        for name, some in zip(_FILES, rows, strict=True):
            (folder / name).write_bytes("\n".join(map("\t".join, sorted(some))).encode())
        inputs = [source.name for source in sources]
        made_by = f"nerbert {__version__}, nltk {nltk.__version__}"
        write_json(folder / "manifest.json", {"made_by": made_by, "inputs": inputs, "characters": len(text)})


def _texts(sources: Sequence[Source], characters: int) -> Iterator[str]:
    """Yield the articles' texts, at least so many characters, as Punkt takes them: an empty line ends a paragraph."""
    from nerbert.corpus.near import dump_pages  # which imports this module

    for page in dump_pages(sources):
        text = "\n\n".join([*page.lines, ""])
        yield text
        characters -= len(text)
        if characters <= 0:
            return
