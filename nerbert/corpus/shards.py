"""The corpus's files: Parquet shards with a fixed schema, zstd, one row per sentence (docs/formats.md).

A shard is a part of the dump, so the number of workers does not change the output. Cost: shards differ in size.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple, NotRequired

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from typing_extensions import TypedDict  # Python 3.11's own lacks what pydantic needs

from nerbert.about import DOCS
from nerbert.artifacts import publish, sha256_once
from nerbert.errors import InputError, NerbertError, refused
from nerbert.records import Mention, Reason, Sentence
from nerbert.schema import parse_json, read_checked

FORMAT = 3
"""Version of the corpus's files, in the manifest; a reader refuses other versions (`_Manifest.format`)."""

_MANIFEST, _REBUILD = "manifest.json", "build the corpus again"
_GROUP = 10_000
_BATCH = 2_000
_LONGEST_LINE = 1 << 22
_KEPT = {"compression": "zstd"}
_SPAN = [("start", pa.int32()), ("end", pa.int32())]
_ROW = [
    ("id", pa.string()),
    ("wiki", pa.string()),
    ("page_id", pa.int64()),
    ("revision", pa.int64()),
    ("title", pa.string()),
    ("start", pa.int32()),
    ("text", pa.string()),
    ("words", pa.list_(pa.struct(_SPAN))),
]
_LINKS = ("links", pa.list_(pa.struct([*_SPAN, ("target", pa.string()), ("origin", pa.string())])))
_MENTION = [
    *_SPAN,
    ("target", pa.string()),
    ("resolved_target", pa.string()),
    ("class_path", pa.list_(pa.string())),
    ("source", pa.string()),
    ("category", pa.string()),
    ("origin", pa.string()),
]
_STRETCH = [*_SPAN, ("reason", pa.string())]

UNTYPED = pa.schema([*_ROW, _LINKS, ("page_number", pa.int64())])
"""`pages/`: pass 1's sentences with their links; `page_number` is the page's position in the input."""
TYPED = pa.schema(
    [
        *_ROW,
        ("mentions", pa.list_(pa.struct(_MENTION))),
        ("unknown", pa.list_(pa.struct(_STRETCH))),
        ("split", pa.string()),
        ("copies", pa.int32()),
        ("expected_copies", pa.float64()),
    ]
)
"""`sentences/`: the corpus."""
TITLES = pa.schema(
    [
        ("page_number", pa.int64()),
        ("page_id", pa.int64()),
        ("revision", pa.int64()),
        ("title", pa.string()),
        ("ns", pa.int32()),
        ("redirect", pa.string()),
        ("fate", pa.string()),
        (
            "infoboxes",
            pa.list_(
                pa.struct(
                    [
                        ("template", pa.string()),
                        ("parameters", pa.list_(pa.struct([("name", pa.string()), ("value", pa.string())]))),
                    ]
                )
            ),
        ),
        ("categories", pa.list_(pa.string())),
    ]
)
"""`titles/`: every page of the dump; `fate` is "article" or the reason why it was dropped."""
TARGETS = pa.schema(
    [
        ("target", pa.string()),
        ("resolved_target", pa.string()),
        ("links", pa.int64()),
        ("class_path", pa.list_(pa.string())),
        ("source", pa.string()),
    ]
)
"""`targets/`: every link target with its type, in each part the most linked first."""


def write_table(table: pa.Table, path: Path) -> None:
    """Write one Parquet file atomically."""
    with open_writer(path, table.schema) as add:
        add(table)


@contextmanager
def open_writer(path: Path, schema: pa.Schema, *, scratch: bool = False) -> Iterator[Callable[[pa.Table], None]]:
    """Provide a function that appends a table as row groups; the file becomes `path` only if the block succeeds.

    `scratch` files, which are soon read again and removed, are uncompressed: larger, but faster.
    """
    options = {"compression": "none", "use_dictionary": False, "write_statistics": False} if scratch else _KEPT
    with publish(path) as partial, pq.ParquetWriter(partial, schema, **options) as writer:
        yield lambda table: writer.write_table(table, row_group_size=_GROUP) if table.num_rows else None


def write_grouped(tables: Iterable[pa.Table], path: Path, schema: pa.Schema, *, scratch: bool = False) -> None:
    """Write tables as one file, in row groups of 10,000 rows, regardless of the tables' sizes."""
    held: list[pa.Table] = []
    with open_writer(path, schema, scratch=scratch) as add:
        for table in tables:
            held.append(table)
            # Only whole groups are written, so that group sizes don't depend on batches
            if sum(map(len, held)) >= _GROUP:
                joined = pa.concat_tables(held)
                full = len(joined) // _GROUP * _GROUP
                add(joined.slice(0, full).combine_chunks())
                held = [joined.slice(full)]
        # The rest, or an empty table, so that the file has its schema
        add(pa.concat_tables([schema.empty_table(), *held]).combine_chunks())


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one Parquet file; raise InputError if it is damaged."""
    with _damage(path):
        return pq.read_table(path, columns=list(columns) if columns else None, use_threads=False)


def read_batches(path: Path, columns: Sequence[str] | None = None, rows: int = _BATCH) -> Iterator[pa.RecordBatch]:
    """Yield a file's rows in batches of at most `rows`; raise InputError if the file is damaged."""
    with _damage(path), pq.ParquetFile(path) as file:
        yield from file.iter_batches(rows, columns=list(columns) if columns else None, use_threads=False)


def _damage(path: Path) -> AbstractContextManager[None]:
    return refused(f"{path}: not a readable shard", of=(pa.ArrowInvalid, OSError, KeyError), remedy=_REBUILD)


def shard_paths(folder: Path) -> list[Path]:
    """Return the shards of a folder, in order."""
    return sorted(folder.glob("part-*.parquet"))


_Step = TypedDict("_Step", {"step": str, "in": int, "out": int, "dropped": dict[str, int]})


class _LabelSet(TypedDict):
    name: str
    sha256: str


class _Settings(TypedDict):
    min_mentions: int


class _Split(TypedDict):
    sentences: int
    words: int
    mentions: int
    copies: int
    words_with_copies: int


class _Category(TypedDict):
    mentions: int
    with_copies: int


class _File(TypedDict):
    path: str


class _Knowledge(TypedDict):
    passed_over: list[_File]


class _Manifest(TypedDict):
    """The keys of the manifest that readers of a corpus use; others are allowed."""

    __pydantic_config__ = {"extra": "allow"}  # type: ignore[misc]  # noqa: RUF012  (pydantic's name, not a key)
    format: Literal[3]
    wiki: str
    language: str
    word_splitter: str
    label_set: _LabelSet
    settings: _Settings
    shards: dict[str, int]
    shard_sha256: NotRequired[dict[str, str]]
    mention_sources: dict[str, int]
    mention_origins: dict[str, int]
    unknown: dict[str, int]
    steps: list[_Step]
    splits: dict[str, _Split]
    categories: dict[str, _Category]
    classes: NotRequired[dict[str, dict[str, str]]]
    knowledge: _Knowledge


def read_manifest(corpus: Path) -> dict[str, Any]:
    """Return the manifest of a complete corpus; raise InputError for any other folder."""
    path = corpus / _MANIFEST
    if not corpus.is_dir():
        raise InputError(f"{corpus}: no such corpus folder; make one with `nerbert corpus build`")
    if not path.is_file():
        raise InputError(f"{corpus}: has no manifest.json: not a corpus, or unfinished; build it again")
    _, manifest = read_checked(path, _Manifest, remedy=_REBUILD)
    # A manifest from the hub may be made by anyone: nothing outside the folder is read
    for name, rows in manifest["shards"].items():
        shard = corpus / name
        inside = False
        # A null byte in the name, or a loop of links
        with suppress(ValueError, RuntimeError):
            inside = shard.resolve().is_relative_to(corpus.resolve())
        if not inside:
            raise InputError(f"{path}: shard {name!r} lies outside the corpus; refused")
        with refused(f"{shard}: shard is missing or damaged", of=(pa.ArrowInvalid, OSError), remedy=_REBUILD):
            metadata = pq.read_metadata(shard)
            schema = metadata.schema.to_arrow_schema()
        # The number of rows alone would not show a file of another format
        if not schema.equals(TYPED):
            raise InputError(f"{shard}: its columns aren't those of a corpus ({DOCS}/formats.md); {_REBUILD}")
        if metadata.num_rows != rows:
            raise InputError(f"{shard}: has {metadata.num_rows} sentences, the manifest says {rows}; {_REBUILD}")
    return manifest


def shard_hashes(corpus: Path, manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of each shard's bytes, from the manifest, or computed if an older manifest lacks them."""
    stored = manifest.get("shard_sha256", {})
    # A manifest that has sums must have all of them: a shard without one could be exchanged
    if stored and (lacking := sorted(manifest["shards"].keys() - stored.keys())):
        raise InputError(f"{corpus / 'manifest.json'}: tells no SHA-256 of {lacking[0]}; build the corpus again")
    return {name: stored.get(name) or _sha256(corpus / name) for name in manifest["shards"]}


def checked_shards(corpus: Path, manifest: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the shards in order; raise InputError for one whose bytes differ from `shard_hashes`."""
    for name, digest in shard_hashes(corpus, manifest).items():
        if _sha256(corpus / name) != digest:
            raise InputError(
                f"{corpus / name}: differs from the SHA-256 in manifest.json: damaged or changed; build "
                "the corpus again"
            )
        yield corpus / name


def _sha256(path: Path) -> str:
    with refused(f"{path}: shard can't be read", of=OSError, remedy=_REBUILD):
        return sha256_once(path)


def read_sentences(corpus: Path, split: str | None = None) -> Iterator[Sentence]:
    """Yield sentences of a corpus in order, of one split or all, including those with 0 copies."""
    for name in read_manifest(corpus)["shards"]:
        yield from typed_sentences(corpus / name, split)


def typed_sentences(path: Path, split: str | None = None) -> Iterator[Sentence]:
    """Yield the sentences of one typed shard, of one split or all."""
    for batch in sentence_batches(path):
        rows = batch if split is None else batch.filter(pc.equal(batch["split"], split))
        yield from map(_sentence, rows.to_pylist())


def sentence_batches(path: Path, columns: Sequence[str] | None = None, rows: int = _BATCH) -> Iterator[pa.RecordBatch]:
    """Yield a typed shard's rows, at most `rows` at a time; raise InputError for missing values or invalid text."""
    for batch in read_batches(path, columns, rows):
        with _damage(path):
            batch.validate(full=True)
        for name in batch.schema.names:
            if column := null_in(name, batch[name]):
                raise InputError(f"{path}: a sentence has no {column}; build the corpus again")
        yield batch


class PageLines(NamedTuple):
    """A page with its attribution; its lines are sentences or paragraphs."""

    wiki: str
    page_id: int
    revision: int
    title: str
    lines: list[str]


def is_corpus(path: Path) -> bool:
    """Return whether a folder has a corpus's manifest."""
    return (path / _MANIFEST).is_file()


@dataclass(frozen=True)
class DroppedSentence:
    """A line of `dropped.jsonl`."""

    step: str
    reason: str
    id: str
    text: str


def dropped_sentences(corpus: Path) -> Iterator[DroppedSentence]:
    """Yield the lines of `dropped.jsonl`; none without that file. Raise InputError with the line for another form."""
    if (path := corpus / "dropped.jsonl").is_file():
        with path.open("rb") as stream:
            for number, line in enumerate(iter(lambda: stream.readline(_LONGEST_LINE), b""), 1):
                yield parse_json(line.strip(), DroppedSentence, f"{path}:{number}", remedy=_REBUILD)


def corpus_parts(corpus: Path) -> Iterator[Callable[[], Iterator[PageLines]]]:
    """Yield a function for each part of a corpus that reads its pages: all sentences but the excluded ones.

    Raise InputError for a corpus without its pages, or one that doesn't list all sentences that were excluded.
    """
    manifest = read_manifest(corpus)
    paths = shard_paths(corpus / "pages")
    if not paths:
        raise InputError(f"{corpus}: has no pages/, which a corpus from the hub lacks; give the dump, or {_REBUILD}")
    excluded = frozenset(row.id for row in dropped_sentences(corpus) if row.reason == Reason.EXCLUDED_TEXT)
    # A list that is cut would let excluded texts into training
    if len(excluded) < sum(step["dropped"].get(Reason.EXCLUDED_TEXT, 0) for step in manifest["steps"]):
        raise InputError(f"{corpus}: dropped.jsonl doesn't list all excluded sentences; {_REBUILD}")
    yield from (partial(_read_pages, path, excluded) for path in paths)


def _read_pages(path: Path, excluded: frozenset[str]) -> Iterator[PageLines]:
    columns = [*PageLines._fields[:4], "text", "id"]
    batches = ((batch[name].to_pylist() for name in columns) for batch in read_batches(path, columns))
    # Excluded sentences are evaluation data, which readers of pages must not see
    rows = (row for batch in batches for row in zip(*batch, strict=True) if row[-1] not in excluded)
    for (wiki, number, revision, title), sentences in groupby(rows, itemgetter(0, 1, 2, 3)):
        yield PageLines(wiki, number, revision, title, [text for *_, text, _ in sentences])


def with_columns(rows: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return rows with only the columns of a schema; raise NerbertError if a step changed them or lost a value."""
    try:
        # Selecting by name drops the columns that steps add for themselves
        selected = pa.RecordBatch.from_arrays([rows[name] for name in schema.names], schema=schema)
    except (KeyError, TypeError, pa.ArrowException) as error:
        raise NerbertError(f"a corpus step changed the columns ({DOCS}/formats.md): {error}") from error
    if column := next(filter(None, (null_in(name, selected[name]) for name in schema.names)), ""):
        raise NerbertError(f"a corpus step left rows without {column}; give each a value")
    return selected


def null_in(name: str, column: pa.Array) -> str:
    """Return the name of a column or nested field with a missing value; "" if there is none."""
    if column.null_count:
        return name
    # A list without null may have null inside
    if pa.types.is_list(column.type):
        return null_in(name, column.flatten())
    if pa.types.is_struct(column.type):
        inner = (null_in(f"{name}.{part.name}", pc.struct_field(column, part.name)) for part in column.type)
        return next(filter(None, inner), "")
    return ""


def _sentence(row: Mapping[str, Any]) -> Sentence:
    mentions = tuple(Mention(**(cells | {"class_path": tuple(cells["class_path"])})) for cells in row["mentions"])
    words = tuple((word["start"], word["end"]) for word in row["words"])
    unknown = tuple((cells["start"], cells["end"], cells["reason"]) for cells in row["unknown"])
    return Sentence(
        wiki=row["wiki"],
        page_id=row["page_id"],
        revision=row["revision"],
        title=row["title"],
        start=row["start"],
        text=row["text"],
        words=words,
        mentions=mentions,
        unknown=unknown,
        split=row["split"],
        copies=row["copies"],
        expected_copies=row["expected_copies"],
    )
