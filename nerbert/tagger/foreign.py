"""Tell when a tagger hardly fits a text: by its language, its unknown pieces, and the labels that find nothing.

A language is seen by the script, and by the words that begin sentences (`is_foreign`). Cost: the note is given once.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from itertools import islice

from nerbert.about import DOCS
from nerbert.errors import few
from nerbert.formats.json_files import fields_but
from nerbert.formats.lines import without_surrogates
from nerbert.model.tokenizer import encode
from nerbert.records import Document
from nerbert.sentences import is_foreign
from nerbert.tagger.self_check_answers import JobTagger
from nerbert.terminal import tell

_READ, _TEXTS = 4000, 100
"""Characters that are looked at, and texts."""
_LONG = 1000
"""Characters from which on a text is expected to hold an entity of each label."""
_UNKNOWN = "\N{CUNEIFORM SIGN A}"
"""A character that vocabularies lack: its pieces are those of any unknown character."""
_tell_once = cache(tell)


def _is_unknown(text: str, head: object) -> bool:
    """Return whether most pieces of a text stand for characters that the vocabulary of a head lacks."""
    pieces = getattr(head, "pieces", None)  # a server's model and users' heads may have none
    if not pieces or text.isascii():
        return False
    ids, unknown = encode(pieces.tokenizer, [without_surrogates(text[:_READ]), _UNKNOWN])["input_ids"]
    return sum(piece in unknown for piece in ids) > len(ids) / 2


def tell_foreign(texts: Iterable[str], tagger: JobTagger) -> None:
    """Say once, in each process, if texts begin in another language than the tagger's, or in unknown characters."""
    text = " ".join(islice(texts, _TEXTS))
    language = tagger.known_language
    if is_foreign(text, language):
        _tell_once(
            f"note: a text seems to be in another language than the tagger's ({language}); the model many reads most: "
            f"{DOCS}/how-to/language.md"
        )
    elif _is_unknown(text, tagger.head):
        _tell_once(f"note: the tagger's vocabulary lacks most of a text; how to train one: {DOCS}/how-to/language.md")


def tell_not_found(tagger: JobTagger, characters: int, types: set[str]) -> None:
    """Say which labels found nothing in texts of so many characters, of the `types` that were found."""
    if names := _not_found(tagger, characters, types):
        tell(
            f"note: nothing found in {characters:,} characters for {few(names)}; other words for a label may find "
            f"more: {DOCS}/how-to/labels.md"
        )


def with_notes(row: Document, tagger: JobTagger) -> Document:
    """Return a tagged text with a field that names the labels that found nothing, and one if it is foreign."""
    notes = {
        "labels_not_found": _not_found(tagger, len(row.text), {span.type for span in row.spans}),
        "foreign_text": is_foreign(row.text, tagger.known_language) or _is_unknown(row.text, tagger.head),
    }
    fields = fields_but(row.fields, *notes)  # those of an earlier tagger
    return replace(row, fields=fields | {name: note for name, note in notes.items() if note})


def _not_found(tagger: JobTagger, characters: int, types: set[str]) -> list[str]:
    """Return the names of labels that found nothing, if a text is long."""
    return [label.name for label in tagger.labels if characters >= _LONG and label.name not in types]
