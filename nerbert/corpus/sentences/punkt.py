"""Punkt (Kiss & Strunk 2006), the sentence splitter of NER-BERT §2.1: NLTK's code with NLTK's parameters.

The parameters are a download (`punkt_tab`), and a setting names their folder. We read the files, and not NLTK, which
takes them from its own data folders only. The price of Punkt is speed: it looks at every word around a full stop in
Python.
"""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from nerbert.errors import InputError, need

_LIMIT = 64 << 20
_COLUMNS = {"abbrev_types.txt": 1, "collocations.tab": 2, "sent_starters.txt": 1, "ortho_context.tab": 2}
_FOLDERS = {
    "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish", "et": "estonian",
    "fi": "finnish", "fr": "french", "it": "italian", "ml": "malayalam", "nb": "norwegian", "nl": "dutch",
    "no": "norwegian", "pl": "polish", "pt": "portuguese", "ru": "russian", "sl": "slovene", "sv": "swedish",
    "tr": "turkish",
}  # fmt: skip


class PunktSplitter:
    """Sentences by Punkt, one paragraph at a time; none begins with a small letter."""

    def __init__(self, path: Path, language: str) -> None:
        """Read the parameters: a `punkt_tab` folder, or the folder of one language in it."""
        need("punkt", "nltk")
        from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

        folder = _language_folder(path, language)
        rows = {name: list(_rows(folder / name, columns)) for name, columns in _COLUMNS.items()}
        parameters = PunktParameters()
        parameters.abbrev_types.update(word for (word,) in rows["abbrev_types.txt"])
        parameters.collocations.update((one, other) for one, other in rows["collocations.tab"])
        parameters.sent_starters.update(word for (word,) in rows["sent_starters.txt"])
        for line, (word, bits) in enumerate(rows["ortho_context.tab"], 1):
            parameters.ortho_context[word] = _bits(bits, folder / "ortho_context.tab", line)
        self.name = f"punkt-1 {sha256(json.dumps(rows).encode()).hexdigest()[:8]}"
        self._punkt = PunktSentenceTokenizer(parameters)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the sentences of a text, in order."""
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
