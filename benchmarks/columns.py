"""Sentences into Parquet with pass 1's schema, for the tools that nerbert is compared with.

Written as someone in a hurry would who knows pyarrow: columns of plain lists, nested ones from flat values and offsets,
so that no row is ever a dictionary.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

from nerbert.records import Link, sentence_id
from nerbert.sentences import RuleSplitter, join_in_links
from nerbert.words import split_words

_ROWS = 50_000
_ABBREVIATIONS = """
    adj adm al approx apr assn asst aug ave b bldg blvd bros c ca capt cf ch cmdr co col comdr corp cpl d dec dept
    dist dr e.g ed eds esp est etc ext feb fig fl fr ft gen gov hon i.e inc incl intl jan jr jul jun lieut lt ltd
    maj mar messrs mfg mr mrs ms mss mt mtn nov no nos n.b oct op opp p p.m a.m ph.d pl pp pres prof pt pvt r rd ref
    rep rev sen sep sept sgt sr ss st ste surg tr trans univ u.k u.n u.s u.s.a v vol vols vs d.c b.c a.d
""".split()
_SPAN = pa.struct([("start", pa.int32()), ("end", pa.int32())])
_LINK = pa.struct([("start", pa.int32()), ("end", pa.int32()), ("target", pa.string())])

Spans = Sequence[tuple[int, int]]
Splitter = Callable[[str], Spans]


def splitter(name: str) -> Splitter:
    """`nerbert`: the checkout's rules; `punkt`: NLTK's with an abbreviation list. Lines are paragraphs for both."""
    if name == "nerbert":
        return RuleSplitter("en").spans
    parameters = PunktParameters()
    parameters.abbrev_types.update(_ABBREVIATIONS)
    punkt = PunktSentenceTokenizer(parameters)
    return lambda text: list(_by_line(punkt, text))


def _by_line(punkt: PunktSentenceTokenizer, text: str) -> Iterator[tuple[int, int]]:
    offset = 0
    for line in text.split("\n"):
        for start, end in punkt.span_tokenize(line):
            yield offset + start, offset + end
        offset += len(line) + 1


class Columns:
    """Gathers sentences, and writes a Parquet file whenever 50,000 are there."""

    def __init__(self, folder: Path, split: Splitter) -> None:
        self.folder, self.split, self.files = folder, split, 0
        folder.mkdir(parents=True, exist_ok=True)
        self._clear()

    def _clear(self) -> None:
        self.pages: list[tuple[int, int, str, int]] = []
        self.starts: list[int] = []
        self.texts: list[str] = []
        self.words: list[tuple[int, int]] = []
        self.links: list[tuple[int, int, str]] = []
        self.word_ends, self.link_ends = [0], [0]

    def add(self, page: tuple[int, int, str, int], text: str, links: Sequence[Link]) -> None:
        """A page `(id, revision, title, number)`: its sentences, and the links that begin and end where words do."""
        place, many = 0, len(links)
        spans = join_in_links(self.split(text), [link.start for link in links], [link.end for link in links])
        for start, end in spans:
            sentence = text[start:end]
            words = split_words(sentence)
            if not words:
                continue
            while place < many and links[place].start < start:
                place += 1
            if place < many and links[place].start < end:
                first, last = {begin for begin, _ in words}, {stop for _, stop in words}
                while place < many and links[place].start < end:
                    link = links[place]
                    if link.start - start in first and link.end - start in last:
                        self.links.append((link.start - start, link.end - start, link.target))
                    place += 1
            self.pages.append(page)
            self.starts.append(start)
            self.texts.append(sentence)
            self.words += words
            self.word_ends.append(len(self.words))
            self.link_ends.append(len(self.links))
        if len(self.texts) >= _ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is there."""
        ids, revisions, titles, numbers = zip(*self.pages, strict=True) if self.pages else ((), (), (), ())
        columns = {
            "id": [sentence_id("enwiki", *key) for key in zip(ids, revisions, self.starts, strict=True)],
            "wiki": pa.repeat("enwiki", len(ids)),
            "page_id": pa.array(ids, pa.int64()),
            "revision": pa.array(revisions, pa.int64()),
            "title": titles,
            "start": pa.array(self.starts, pa.int32()),
            "text": self.texts,
            "words": _nested(self.words, self.word_ends, _SPAN),
            "links": _nested(self.links, self.link_ends, _LINK),
            "page_number": pa.array(numbers, pa.int64()),
        }
        path = self.folder / f"part-{self.files:05d}.parquet"
        pq.write_table(pa.table(columns), path, compression="zstd", row_group_size=10_000)
        self.files += 1
        self._clear()


def _nested(values: Sequence[tuple[object, ...]], ends: Sequence[int], kind: pa.StructType) -> pa.ListArray:
    fields = zip(*values, strict=True) if values else ((),) * kind.num_fields
    arrays = [pa.array(each, kind.field(number).type) for number, each in enumerate(fields)]
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.StructArray.from_arrays(arrays, fields=list(kind)))


def counts(folder: Path) -> dict[str, int]:
    """Sentences, words, links in a folder of sentences, and letters of their texts."""
    found = dict.fromkeys(("sentences", "words", "links", "characters"), 0)
    for path in sorted(folder.glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(columns=["text", "words", "links"]):
            found["sentences"] += batch.num_rows
            found["words"] += len(batch.column("words").flatten())
            found["links"] += len(batch.column("links").flatten())
            found["characters"] += sum(len(text) for text in batch.column("text").to_pylist())
    return found
