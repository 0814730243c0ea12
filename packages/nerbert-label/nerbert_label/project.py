"""A labelling project: a folder with sentences, types and answers; each action is written to disk before it counts.

    sentences.jsonl   the sentences, with their words; entities in a file are suggestions     journal.jsonl     all
actions, in order     labels.jsonl      the accepted sentences in the order in which they were shown; written when the
project is                       opened or closed, before training, and when labels are exported     rounds/0020/
training after twenty sentences: its data, its tagger, its result

A sentence has one state: a list of entities and an answer. An action sets it, another action reverts that, so undoing
is a step of the same kind. A tab sends the revision of the sentence that it saw; an outdated one is refused.
"""

import errno
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from nerbert.artifacts import held, writing
from nerbert.errors import InputError, OutputExists, SettingsError, StaleOutput, at, refused
from nerbert.formats.documents import Reading, document_of
from nerbert.formats.jsonl import JsonLines
from nerbert.labels import fold_type
from nerbert.records import Document, Example, Span
from nerbert.rng import hash64
from nerbert.schema import json_line, parse_json
from nerbert_label.sentences import LONGEST, LONGEST_NAME, MOST, kept_sentences, read_sentences, type_name

Answer = Literal["", "accept", "reject", "skip"]
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#dddd00", "#5b3fd0", "#d55e00", "#cc79a7", "#7a7a7a")
"""Default colours of types, after Okabe and Ito; their tints on the page must differ, too."""
_KEYS = tuple("1234567890bdefghijklnopqrtuvwyz")
"""Keys of types; the page uses the other letters."""
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_MOST_TYPES, _LONGEST_DESCRIPTION = 256, 500


@dataclass(frozen=True, slots=True)
class LabelType:
    """A type to label: its name, its description, its colour (`#rrggbb`) and its key on the keyboard."""

    name: str
    description: str = ""
    colour: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Saved:
    """The state of a sentence, and the tab that saved it."""

    entities: tuple[Span, ...] = ()
    answer: Answer = ""
    tab: str = ""


@dataclass(slots=True)
class LabelItem:
    """A sentence of the project: `states` are those that weren't reverted, `revision` counts all changes."""

    id: int
    sentence: Example
    drawn: bool = False
    test: bool = False
    states: list[Saved] = field(default_factory=lambda: [Saved()])
    revision: int = 0

    @property
    def state(self) -> Saved:
        """Return the current state."""
        return self.states[-1]


class Project:
    """A project in a folder, for one process at a time; `close` releases it.

    `reading` says how files are read. Raise OutputExists if another process uses the folder.
    """

    def __init__(self, folder: Path, reading: Reading) -> None:
        self.folder = folder
        self._reading = reading
        self._held = ExitStack()
        with refused(f"{folder}: can't be made or opened", of=OSError):
            folder.mkdir(parents=True, exist_ok=True)
            # A folder of other files could be data that labelling would mix with its own.
            if any(folder.iterdir()) and not (folder / "journal.jsonl").exists():
                raise OutputExists(f"{folder}: holds other files; name another folder with -o")
            self._held.enter_context(held(folder, f"{folder}: another nerbert label has it open; stop that one first"))
        self.types: tuple[LabelType, ...] = ()
        self._sentences = folder / "sentences.jsonl"
        self.items = [LabelItem(id_, sentence) for id_, sentence in enumerate(kept_sentences(self._sentences))]
        self.drawn = list[LabelItem]()
        """The sentences that were shown, oldest first."""
        self._saves = defaultdict[str, list[LabelItem]](list)
        """By tab: the sentences whose states it saved, latest last."""
        self._done = dict[str, tuple[str, LabelItem]]()
        """By tab: its last completed request, and its sentence: a page that gets no answer repeats the request."""
        self._journal = folder / "journal.jsonl"
        with refused(f"{self._journal}: can't be opened", of=OSError):
            self._handle = os.open(self._journal, os.O_RDWR | os.O_CREAT, 0o666)
            content = self._journal.read_bytes()
        # A crash may have left only the beginning of the first line.
        if content[:6] not in (b'{"do":'[: len(content)], b""):
            raise InputError(f"{self._journal}: isn't a journal of nerbert label; name another folder with -o")
        self._size = content.rfind(b"\n") + 1
        """Bytes of the journal, without a last line that was cut off by a crash."""
        # The state isn't stored: it is what the actions of the journal give.
        for number, line in enumerate(content[: self._size].splitlines(), 1):
            with at(self._journal, number):
                self._replay(parse_json(line, dict, "line"))
        self.write_labels()

    def close(self) -> None:
        """Write the labels, and let other processes open the folder."""
        try:
            self.write_labels()
        finally:
            self._held.close()

    def write_labels(self) -> Path | None:
        """Write the accepted sentences, completely or not at all; return the file, None if there was never one."""
        accepted = self.with_answer("accept")
        path = self.folder / "labels.jsonl"
        # An empty file replaces an older one: answers may have been undone.
        if not accepted and not path.exists():
            return None
        JsonLines().write(path, self.documents(accepted))
        return path

    def read(self, path: Path, *, bare: bool = False) -> tuple[list[Example], int]:
        """Return the new sentences of a file, and the number of too long ones; write the sentences to disk.

        With `bare`, entities in the file are ignored. May run concurrently with other methods, but not with itself.
        Raise InputError for a file that can't be read or is too large; then nothing is written.

        """
        texts = {item.sentence.text for item in self.items}
        added = list[Example]()
        long = 0
        for sentence in read_sentences(path, self._reading):
            if len(sentence.text) > LONGEST:
                long += 1
            elif sentence.text not in texts:
                texts.add(sentence.text)
                added.append(replace(sentence, spans=()) if bare else sentence)
            # While reading: a file of gigabytes must not be read to its end first.
            if len(texts) > MOST:
                raise InputError(f"{path}: has more than {MOST:,} sentences; label a part of them")
        if not texts:
            raise InputError(f"{path}: holds no sentence")
        if added:
            sentences = chain((item.sentence for item in self.items), added)
            # On disk before they are added: the journal refers to sentences by number.
            JsonLines().write(self._sentences, map(document_of, sentences))
        return added, long

    def add(self, sentences: Iterable[Example]) -> None:
        """Add sentences returned by `read`; if there are no types yet, use those of the sentences."""
        self.items += [LabelItem(id_, sentence) for id_, sentence in enumerate(sentences, len(self.items))]
        if self.types:
            return
        if types := dict.fromkeys(span.type for item in self.items for span in item.sentence.spans):
            self.set_types([LabelType(name) for name in [*types][:_MOST_TYPES]])

    def set_types(self, types: Sequence[LabelType]) -> None:
        """Replace the types; those without a colour or key get one. Raise SettingsError for invalid types."""
        used = {span.type for item in self.drawn for span in item.state.entities}
        # Entities of a removed type would have no name in the exported labels.
        if missing := used - {type_.name for type_ in types}:
            raise SettingsError(f"type {min(missing)!r:.120}: sentences are labelled with it; it can't be removed")
        self._do({"do": "types", "types": list(map(astuple, complete_types(types)))})

    def draw(self, item: LabelItem, *, test: bool) -> None:
        """Record that a sentence is shown, and whether it is held out for the test."""
        # The digest detects a `sentences.jsonl` that was edited by hand.
        self._do({"do": "draw", "id": item.id, "test": test, "text": f"{hash64(item.sentence.text):x}"})

    def find(self, id_: int) -> LabelItem:
        """Return a sentence that was shown; raise InputError if there is no such sentence."""
        if not 0 <= id_ < len(self.items) or not self.items[id_].drawn:
            raise InputError(f"sentence {id_}: was not shown yet")
        return self.items[id_]

    def save(
        self,
        item: LabelItem,
        revision: int,
        entities: Iterable[tuple[int, int, str]],
        answer: Answer,
        tab: str,
        request: str = "",
    ) -> None:
        """Set the state of a sentence, on the disk first; do nothing for a `request` of the tab that is already done.

        Raise StaleOutput if the tab saw another revision of it, InputError for invalid entities.
        """
        # A page that got no answer repeats the request; the action must happen once.
        if request and self._done.get(tab) == (request, item):
            return
        # Else the later of two tabs would overwrite what it never saw.
        if item.revision != revision:
            raise StaleOutput("this sentence was changed in another tab; it is shown as it is now")
        rows = [[span.start, span.end, span.type] for span in self._check_entities(item.sentence, entities)]
        self._do({"do": "set", "id": item.id, "entities": rows, "answer": answer, "tab": tab, "request": request})

    def undo(self, tab: str, request: str = "") -> LabelItem | None:
        """Revert the last state that a tab saved, on the disk first; return the sentence, None if nothing is left.

        A `request` of the tab that is already done gets the same answer. Raise StaleOutput if another tab has changed
        that sentence since.
        """
        if request and tab in self._done and self._done[tab][0] == request:
            return self._done[tab][1]
        if not self._saves[tab]:
            return None
        item = self._saves[tab][-1]
        # Undoing would revert the other tab's work.
        if item.state.tab != tab:
            # The next undo then reaches the tab's previous sentence.
            self._saves[tab].pop()
            raise StaleOutput("another tab has changed that sentence since; nothing was undone")
        self._do({"do": "undo", "id": item.id, "tab": tab, "request": request})
        return item

    def with_answer(self, *answers: Answer) -> list[LabelItem]:
        """Return the sentences with one of these answers, in the order in which they were shown."""
        return [item for item in self.drawn if item.state.answer in answers]

    def documents(self, items: Iterable[LabelItem]) -> Iterator[Document]:
        """Yield sentences with their entities as documents to write to files."""
        for item in items:
            labelled = replace(item.sentence, spans=item.state.entities)
            yield replace(document_of(labelled), fields={"id": item.id, "test": item.test})

    def _check_entities(self, sentence: Example, entities: Iterable[tuple[int, int, str]]) -> tuple[Span, ...]:
        """Return entities in order; raise InputError for one outside, blank, of unknown type, or in another's words."""
        text = sentence.text
        types = {type_.name for type_ in self.types}
        spans = list[Span]()
        for start, end, type_ in sorted(entities):
            if type_ not in types:
                raise InputError(f"type {type_!r:.120}: is none of this project's types; add it first")
            if not 0 <= start < end <= len(text) or not text[start:end].strip():
                raise InputError(f"entity [{start}, {end}): there is nothing at this place")
            first = next((begin for begin, stop in sentence.words if stop > start and begin < end), None)
            if first is None:
                raise InputError(f"entity [{start}, {end}): there is no word at this place")
            # Two entities in one word can't be tags of words.
            if spans and spans[-1].end > min(first, start):
                raise InputError(
                    f"entities [{spans[-1].start}, {spans[-1].end}) and [{start}, {end}) overlap, or are "
                    "parts of one word"
                )
            spans.append(Span(start, end, type_, text[start:end]))
        return tuple(spans)

    def _do(self, entry: dict[str, Any]) -> None:
        """Do an action once it is on the disk; raise WriteError, with no change, if it can't be written."""
        line = json_line(entry).encode() + b"\n"
        with writing(self._journal):
            try:
                # A line that an earlier failure or crash left half-written goes first.
                os.ftruncate(self._handle, self._size)
                # A disk that becomes full writes a part of the line without an error.
                if os.pwrite(self._handle, line, self._size) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                # The page shows an answer as saved only once a power cut can't lose it.
                os.fsync(self._handle)
            except OSError:
                os.ftruncate(self._handle, self._size)
                raise
        self._size += len(line)
        self._replay(entry)

    def _replay(self, entry: Mapping[str, Any]) -> None:
        """Do the action of a journal entry; raise InputError for an action that can't be done here."""
        try:
            if entry["do"] == "types":
                self.types = tuple(LabelType(*fields) for fields in entry["types"])
                return
            item = self.items[entry["id"]]
            if entry["do"] == "draw":
                # Labels would belong to other sentences.
                if entry["text"] != f"{hash64(item.sentence.text):x}":
                    raise InputError(f"{self._sentences}: was changed: sentence {item.id} isn't the one that was shown")
                item.drawn = True
                item.test = entry["test"]
                self.drawn.append(item)
                return
            tab = entry["tab"]
            text = item.sentence.text
            if entry["do"] == "set":
                spans = tuple(Span(start, end, type_, text[start:end]) for start, end, type_ in entry["entities"])
                item.states.append(Saved(spans, entry["answer"], tab))
                self._saves[tab].append(item)
            else:
                self._saves[item.states.pop().tab].pop()
            item.revision += 1
            self._done[tab] = entry["request"], item
        except (LookupError, TypeError, ValueError) as error:
            raise InputError(f"an action that can't be repeated: {entry!r:.200}") from error


def _check_colour_and_key(name: str, type_: LabelType) -> None:
    if (type_.colour and not _COLOUR.fullmatch(type_.colour)) or (type_.key and type_.key not in _KEYS):
        raise SettingsError(
            f"type {name!r:.120}: a colour is written as #0072b2, a key is a digit or a letter "
            "other than a, c, m, s, x, which the page has"
        )


def complete_types(types: Sequence[LabelType]) -> tuple[LabelType, ...]:
    """Return types with colours and keys; raise SettingsError for invalid or duplicate ones."""
    if len(types) > _MOST_TYPES:
        raise SettingsError(f"{len(types):,} types: at most {_MOST_TYPES} are allowed")
    # Keys that the user chose, for any type, aren't given to another.
    free = [key for key in _KEYS if key not in {type_.key for type_ in types}]
    complete = list[LabelType]()
    for number, type_ in enumerate(types):
        name = type_name(type_.name)
        description = " ".join(type_.description.split())
        if not name or len(description) > _LONGEST_DESCRIPTION:
            raise SettingsError(
                f"type {type_.name!r:.120}: a name has 1 to {LONGEST_NAME} visible characters, a "
                f"description at most {_LONGEST_DESCRIPTION}"
            )
        # Names that differ only in case or underscores are one label to a tagger.
        if any(fold_type(name) == fold_type(other.name) or type_.key == other.key != "" for other in complete):
            raise SettingsError(f"type {name!r:.120}: its name or key is another's, too; give it one of its own")
        _check_colour_and_key(name, type_)
        colour = type_.colour or COLOURS[number % len(COLOURS)]
        key = type_.key or (free.pop(0) if free else "")
        complete.append(LabelType(name, description, colour, key))
    return tuple(complete)
