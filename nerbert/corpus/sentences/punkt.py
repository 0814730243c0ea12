"""Punkt (Kiss & Strunk 2006), NLTK's: with the paper's parameters, parameters trained here, or our lists only.

NER-BERT §2.1 splits with NLTK's trained Punkt, whose parameters are a download (`punkt_tab`); a folder of them is named
by a setting. Parameters trained on a corpus of ours are a JSON file and never bear the paper's name. The files are read
by us and not by NLTK, whose reader takes them from its own data folders only. The price of Punkt is speed: it looks at
every word around a full stop in Python.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerbert.artifacts import read_json, write_json
from nerbert.corpus.sentences.abbreviations import ORDINALS, abbreviations
from nerbert.errors import InputError, at

if TYPE_CHECKING:
    from nltk.tokenize.punkt import PunktSentenceTokenizer

_LIMIT = 64 << 20
_FORMAT = "nerbert-punkt-1"
_COLUMNS = {"abbrev_types.txt": 1, "collocations.tab": 2, "sent_starters.txt": 1, "ortho_context.tab": 2}
_FOLDERS = {
    "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish", "et": "estonian",
    "fi": "finnish", "fr": "french", "it": "italian", "ml": "malayalam", "nb": "norwegian", "nl": "dutch",
    "no": "norwegian", "pl": "polish", "pt": "portuguese", "ru": "russian", "sl": "slovene", "sv": "swedish",
    "tr": "turkish",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PunktModel:
    """What Punkt learns: words in small letters without their full stop."""

    abbreviations: frozenset[str]
    collocations: frozenset[tuple[str, str]]
    starters: frozenset[str]
    contexts: tuple[tuple[str, int], ...]
    """Word → bits that tell where it was seen with a capital and where without (NLTK's `ortho_context`)."""


class PunktSplitter:
    """Sentences by Punkt, one paragraph at a time; none begins with a small letter."""

    def __init__(self, name: str, model: PunktModel) -> None:
        self.name = name
        self._punkt = _tokenizer(model)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The sentences of a text, in order."""
        found: list[tuple[int, int]] = []
        offset = 0
        for line in text.split("\n"):
            first = offset + len(line) - len(line.lstrip())
            found += [(first + start, first + end) for start, end in self._paragraph(line.strip())]
            offset += len(line) + 1
        return found

    def _paragraph(self, line: str) -> list[tuple[int, int]]:
        spans: list[tuple[int, int]] = []
        for start, end in self._punkt.span_tokenize(line):
            if spans and line[start].islower():
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((start, end))
        return spans


def listed_model(language: str) -> PunktModel:
    """A model that has learnt nothing and knows our abbreviations."""
    return PunktModel(listed_abbreviations(language), frozenset(), frozenset(), ())


def save_punkt(model: PunktModel, path: Path) -> None:
    """Write a model as JSON; the same model gives the same bytes."""
    write_json(path, {"format": _FORMAT, **_plain(model)})


def load_punkt(path: Path) -> PunktModel:
    """Read a JSON file of `save_punkt`; raise InputError for any other."""
    if path.is_dir():
        raise InputError(f"{path}: a folder; `punkt-trained` takes a JSON file, a punkt_tab folder goes with `punkt`")
    value = read_json(path, _LIMIT)
    with at(path):
        return _from_json(value)


def load_punkt_tab(path: Path, language: str) -> PunktModel:
    """Read NLTK's parameters: a `punkt_tab` folder, or the folder of one language in it."""
    if not path.is_dir():
        raise InputError(
            f"{path}: no folder; `punkt` takes the punkt_tab folder of NLTK's data, a JSON file goes with "
            "`punkt-trained`"
        )
    return _from_folder(_language_folder(path, language))


def digest(model: PunktModel) -> str:
    """Eight hex digits that tell one model from another."""
    return sha256(json.dumps(_plain(model), ensure_ascii=False).encode()).hexdigest()[:8]


def _plain(model: PunktModel) -> dict[str, Any]:
    return {
        "abbreviations": sorted(model.abbreviations),
        "collocations": sorted(model.collocations),
        "starters": sorted(model.starters),
        "contexts": dict(sorted(model.contexts)),
    }


def _from_json(value: Any) -> PunktModel:
    if not isinstance(value, dict) or value.get("format") != _FORMAT:
        raise InputError(f"not a Punkt model of format {_FORMAT!r}; make one with `nerbert corpus punkt`")
    pairs, contexts = value.get("collocations"), value.get("contexts")
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise InputError("'collocations' must be a list of pairs of words; make the file again")
    if not isinstance(contexts, dict) or not all(type(bits) is int and 0 <= bits < 256 for bits in contexts.values()):
        raise InputError("'contexts' must map words to whole numbers from 0 to 255; make the file again")
    return PunktModel(
        _words(value.get("abbreviations"), "abbreviations"),
        frozenset((one, other) for one, other in pairs if _words([one, other], "collocations")),
        _words(value.get("starters"), "starters"),
        tuple(contexts.items()),
    )


def _words(value: Any, name: str) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
        raise InputError(f"{name!r} must be a list of words; make the file again")
    return frozenset(value)


def _language_folder(path: Path, language: str) -> Path:
    if any((path / name).exists() for name in _COLUMNS):
        return path
    name = _FOLDERS.get(language, language)
    if (path / name).is_dir():
        return path / name
    raise InputError(
        f"{path}: no Punkt parameters and no folder {name!r} for language {language!r} in it; name the punkt_tab "
        "folder of NLTK's data, or a language's folder in it"
    )


def _from_folder(folder: Path) -> PunktModel:
    rows = {name: list(_rows(folder / name, columns)) for name, columns in _COLUMNS.items()}
    return PunktModel(
        frozenset(word for (word,) in rows["abbrev_types.txt"]),
        frozenset((one, other) for one, other in rows["collocations.tab"]),
        frozenset(word for (word,) in rows["sent_starters.txt"]),
        tuple(
            (word, _bits(bits, folder / "ortho_context.tab", line))
            for line, (word, bits) in enumerate(rows["ortho_context.tab"], 1)
        ),
    )


def _rows(path: Path, columns: int) -> Iterator[list[str]]:
    try:
        if path.stat().st_size > _LIMIT:
            raise InputError(f"{path}: {path.stat().st_size} bytes are more than the {_LIMIT} allowed")
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}; fetch punkt_tab again") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text in UTF-8; fetch punkt_tab again") from error
    for number, line in enumerate(lines, 1):
        row = line.split("\t")
        if len(row) != columns or not all(row):
            raise InputError(f"{path}:{number}: {len(row)} columns, some empty, where {columns} belong; fetch it again")
        yield row


def _bits(text: str, path: Path, line: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 3 or int(text) > 255:
        raise InputError(f"{path}:{line}: {text[:20]!r} is no number from 0 to 255; fetch punkt_tab again")
    return int(text)


def listed_abbreviations(language: str) -> frozenset[str]:
    """Our abbreviations of a language as Punkt wants them: in small letters, with German days of a month."""
    lists = abbreviations(language)
    numbers = map(str, range(1, 32)) if language in ORDINALS else ()
    words = (word for word in lists.never | lists.seldom | lists.numbered if word[0].islower())
    return frozenset(words) | frozenset(numbers)


def _tokenizer(model: PunktModel) -> "PunktSentenceTokenizer":
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    parameters = PunktParameters()
    parameters.abbrev_types.update(model.abbreviations)
    parameters.collocations.update(model.collocations)
    parameters.sent_starters.update(model.starters)
    parameters.ortho_context.update(model.contexts)
    return PunktSentenceTokenizer(parameters)
