"""Tagged rows as one page of HTML: no request, no script, light and dark, readable from the disk.

Each entity has its type beside it, and its confidence as the title that browsers show on hovering, and on focus for
fingers and keyboards; entities that are less than half sure are marked as such in the text. The choice: a page shows
the first rows until it is as long as a browser likes, and says what it leaves out; counts are of all rows.
"""

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import chain
from pathlib import Path

from nerbert.artifacts import json_line
from nerbert.records import Span
from nerbert.render import TEMPLATES
from nerbert.render.markup import Child, Markup, document, tag
from nerbert.tagger.jobs.inputs import Block
from nerbert.tagger.jobs.preview import lines_of

ROOM = 1_000_000
"""Characters that a page shows; an entity counts as some more."""
_ENTITY_ROOM = 60
_COLOURS = 10
_SURE = 0.5
_STYLES = (TEMPLATES / "style.css", Path(__file__).with_name("tags_page.css"))


class PageOutput:
    """One page; `title` is what was tagged, `types` are the tagger's."""

    def __init__(self, title: str, tagger: str, types: Sequence[str]) -> None:
        self._title, self._tagger = title, tagger
        self._colours = {name: f"k k{place % _COLOURS}" for place, name in enumerate(types)}

    def part(self, block: Block, found: Sequence[Sequence[Span]], path: Path) -> None:
        """Write the rows of one block, as many as a page has room for."""
        room = ROOM
        with path.open("w", encoding="utf-8") as stream:
            for row, spans in zip(block.rows, found, strict=True):
                shown = _fitting(row.text, spans, room)
                room = room - shown.cost if shown.whole else 0
                stream.write(json_line([shown.text, list(map(astuple, shown.spans)), shown.whole]) + "\n")

    def check(self, part: Path) -> None:
        """Any rows may follow one another."""

    def whole(self, parts: Sequence[Path], target: Path, entities: Mapping[str, int]) -> None:
        """Write the page."""
        shown, left_out = self._rows(chain.from_iterable(map(_read, parts)))
        heading = tag("header", tag("h1", self._title, tag("span", f"tagged by {self._tagger}")))
        main = tag("main", heading, self._legend(entities), left_out, tag("section", shown))
        page = document(
            self._title,
            main,
            style="".join(style.read_text(encoding="utf-8") for style in _STYLES),
        )
        target.write_text(page, encoding="utf-8")

    def _legend(self, entities: Mapping[str, int]) -> Markup:
        """Types that were found, the most frequent first, and those that were not."""
        if not entities:
            return tag("p", f"No entity was found. Types that the tagger knows: {', '.join(self._colours)}.")
        counts = sorted(entities.items(), key=lambda each: (-each[1], each[0]))
        found = [tag("li", tag("mark", name, class_=self._colours.get(name)), " ", count) for name, count in counts]
        none = [name for name in self._colours if name not in entities]
        return tag(
            "section", tag("ul", found, class_="legend"),
            tag("p", f"Not found: {', '.join(none)}.", class_="told") if none else None,
            tag("p", "An entity’s confidence shows where the pointer rests on it, or on a tap; those below "
                f"{_SURE} have a question mark.", class_="told"),
        )  # fmt: skip

    def _rows(self, rows: Iterable["_Shown"]) -> tuple[list[Markup], Markup | None]:
        """The rows that there is room for, and what is said of the others: all from the first that is cut on."""
        shown: list[Markup] = []
        room, count, whole = ROOM, 0, 0
        for each in rows:
            fit = _fitting(each.text, each.spans, room) if room else _Shown("", (), whole=not each.text)
            fits = fit.whole and each.whole and whole == count
            room = room - fit.cost if fits else 0
            if fit.text:
                shown.append(tag("div", list(self._lines(fit)), None if fits else tag("div", "…"), class_="row"))
            count, whole = count + 1, whole + fits
        if whole == count:
            return shown, None
        told = f"Too long for a page: the first {whole:,} of {count:,} rows are shown."
        return shown, tag("p", f"{told} The counts above are of all rows; --to jsonl writes all.", class_="left-out")

    def _lines(self, shown: "_Shown") -> Iterator[Markup]:
        for line, marked in lines_of(shown.text, shown.spans):
            parts: list[Child] = []
            place = 0
            for start, end, span in marked:
                parts += [line[place:start].replace("\t", " "), self._mark(line[start:end], span)]
                place = end
            yield tag("div", parts, line[place:].replace("\t", " "), dir=_direction(line))

    def _mark(self, text: str, span: Span) -> Markup:
        sure = span.confidence >= _SURE
        name, kind = span.type + ("" if sure else "?"), self._colours.get(span.type, "k entity")
        told = f"{span.type}, confidence {span.confidence:.2f}"
        return tag("mark", tag("bdi", text), tag("small", name), class_=kind + ("" if sure else " unsure"), title=told,
                   tabindex=0)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Shown:
    """As much of a row as is shown."""

    text: str
    spans: Sequence[Span]
    whole: bool

    @property
    def cost(self) -> int:
        """The room that it takes."""
        return len(self.text) + _ENTITY_ROOM * len(self.spans)


def _fitting(text: str, spans: Sequence[Span], room: int) -> _Shown:
    """The beginning of a row that there is room for; no entity is left out of what is shown."""
    for number, span in enumerate(spans):
        left = room - _ENTITY_ROOM * number
        if span.end + _ENTITY_ROOM > left:
            return _Shown(text[: max(0, min(span.start, left))], spans[:number], whole=False)
    left = room - _ENTITY_ROOM * len(spans)
    return _Shown(text[:left], spans, whole=len(text) <= left)


def _direction(line: str) -> str:
    """Where a line begins, by its first letter; `dir=auto` would look at the names of types too."""
    sides = map(unicodedata.bidirectional, line)
    return next(("ltr" if side == "L" else "rtl" for side in sides if side in ("L", "R", "AL")), "auto")


def _read(part: Path) -> Iterator[_Shown]:
    with part.open(encoding="utf-8") as stream:
        for line in stream:
            text, spans, whole = json.loads(line)
            yield _Shown(text, [Span(*each) for each in spans], whole=whole)
