"""Evidence: classes for link targets without a type in the knowledge, from titles, categories and first sentences.

A feature is a part of a title ("… University", "(film)"), or of the main noun phrase of a category or first sentence.
Its class is the deepest one that enough of the typed titles with this feature share, by the lower bound of the share's
80 % Wilson interval. A title whose features disagree gets no class; if they agree, the deepest class counts.
Limitation: first sentences are read only in the languages of `tables/phrases.tsv`.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import repeat
from pathlib import Path

import pyarrow as pa

from nerbert.corpus.dump.deduplicate import page_categories
from nerbert.corpus.dump.sites import normalise_title
from nerbert.corpus.knowledge.database import Database, insert
from nerbert.corpus.shards import read_batches, shard_paths
from nerbert.tables import read_columns
from nerbert.words import is_small

TITLE, CATEGORY, FIRST_SENTENCE = ("title", "category", "first sentence")
"""The kinds of evidence, which are also the source names of the types that they give."""
_MOST_WORDS = 8
"""Maximum number of words of a phrase; longer ones are cut."""
_BRACKET = re.compile(r"(.*?)\s*\(([^()]*)\)\Z", re.DOTALL)
_WORD = re.compile(r"\w[\w'’.-]*\w|\w|[^\w\s]")
_ELIDED = re.compile(r"\b([^\W\d_]{1,5})['’](?=\w)")
"""Elided words such as *l'*, *d'* and *dell'*, in languages whose articles include *l*."""
_DIGITS = re.compile(r"\d+")
_ROWS = pa.schema([("title", pa.string()), ("kind", pa.string()), ("feature", pa.string())])
_TITLES = """
SELECT title FROM types WHERE class IS NOT NULL UNION SELECT resolved_target FROM targets WHERE class IS NULL
ORDER BY ALL
"""
_LEARN = """
CREATE TABLE rules AS
WITH
    used AS (
        SELECT kind, feature, class, count(*) AS titles
        FROM evidence JOIN types USING (title) WHERE class IS NOT NULL GROUP BY ALL
    ),
    above AS (
        SELECT class, class_path[1:depth] AS path
        FROM (SELECT class, class_path, unnest(range(1, len(class_path) + 1)) AS depth FROM classes)
    ),
    shared AS (
        SELECT kind, feature, path, sum(used.titles) / any_value(every.titles) AS share, any_value(every.titles) AS n
        FROM used JOIN above USING (class)
        JOIN (SELECT kind, feature, sum(titles) AS titles FROM used GROUP BY ALL) AS every USING (kind, feature)
        GROUP BY kind, feature, path
    ),
    bounded AS (
        SELECT *, (share + $z * $z / (2 * n) - $z * sqrt(share * (1 - share) / n + $z * $z / (4 * n * n)))
            / (1 + $z * $z / n) AS precision
        FROM shared
    )
SELECT *, row_number() OVER (ORDER BY len(path) DESC, precision DESC, path, kind, feature) AS rule FROM (
    SELECT kind, feature, first(path ORDER BY len(path) DESC, precision DESC, path) AS path,
        first(precision ORDER BY len(path) DESC, precision DESC, path) AS precision
    FROM bounded WHERE precision >= $least GROUP BY kind, feature
)
"""
_FIT = """
CREATE TABLE fitted AS
WITH
    fitting AS (SELECT title, path, rule FROM evidence JOIN rules USING (kind, feature)),
    best AS (
        SELECT title, path, kind FROM rules
        JOIN (SELECT title, min(rule) AS rule FROM fitting GROUP BY title) USING (rule)
    )
SELECT * FROM best WHERE title NOT IN (
    SELECT title FROM fitting JOIN best USING (title) WHERE fitting.path <> best.path[1:len(fitting.path)]
)
"""
_NEW_CLASSES = """
INSERT INTO classes SELECT (SELECT max(class) FROM classes) + row_number() OVER (ORDER BY path), path
FROM (SELECT DISTINCT path FROM fitted WHERE path NOT IN (SELECT class_path FROM classes))
"""
_APPLY = """
UPDATE targets SET class = new.class, source = new.source FROM (
    SELECT title, classes.class, sources.source
    FROM fitted JOIN classes ON class_path = path JOIN sources ON name = kind
    WHERE title NOT IN (SELECT title FROM types)
) AS new WHERE targets.class IS NULL AND resolved_target = new.title
"""
_COUNT = """
SELECT name, count(*), sum(links)::BIGINT FROM targets JOIN sources USING (source)
WHERE list_contains($kinds, name) AND links > 0 GROUP BY name
"""
_Z = 1.2816
"""The z value of a one-sided 90 % bound."""


def type_by_evidence(
    database: Database, folder: Path, language: str, kinds: Sequence[str], least: float
) -> dict[str, dict[str, int]]:
    """Type untyped rows of the table `targets` by evidence; return each kind's numbers of typed targets and links.

    `least` is the minimum precision of a feature. Pages and titles are read from the corpus in `folder`.
    """
    insert(database, "evidence", _find_evidence(database, folder, language, kinds), _ROWS)
    database.execute(_LEARN, {"least": least, "z": _Z})
    database.execute(_FIT)
    database.execute(_NEW_CLASSES)
    (first,) = database.execute("SELECT max(source) + 1 FROM sources").fetchall()[0]
    database.executemany("INSERT INTO sources VALUES (?, ?)", list(enumerate(kinds, first)))
    database.execute(_APPLY)
    typed = {kind: counts for kind, *counts in database.execute(_COUNT, {"kinds": list(kinds)}).fetchall()}
    for table in ("evidence", "rules", "fitted"):
        database.execute(f"DROP TABLE {table}")
    return {kind: dict(zip(("targets", "links"), typed.get(kind, (0, 0)), strict=True)) for kind in kinds}


def _find_evidence(database: Database, folder: Path, language: str, kinds: Sequence[str]) -> Iterator[Sequence[object]]:
    if TITLE in kinds:
        yield from _find_in_titles(database)
    if CATEGORY in kinds:
        for title, categories in page_categories(folder):
            features = {feature for name in categories for feature in phrase_features(name, language)}
            yield from zip(repeat(normalise_title(title)), repeat(CATEGORY), sorted(features))
    if FIRST_SENTENCE in kinds:
        for title, text in _read_first_sentences(folder):
            parts = sentence_features(text, language)
            yield from zip(repeat(normalise_title(title)), repeat(FIRST_SENTENCE), parts)


def _find_in_titles(database: Database) -> Iterator[Sequence[object]]:
    # A cursor of its own: `insert` uses the database while these rows are fetched
    titles = database.cursor().execute(_TITLES)
    while rows := titles.fetchmany(10_000):
        for (title,) in rows:
            yield from zip(repeat(title), repeat(TITLE), title_features(title))


def _read_first_sentences(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the title and the first sentence of each page."""
    for part in shard_paths(folder / "pages"):
        page = -1
        for rows in read_batches(part, ["page_number", "title", "text"]):
            for number, title, text in zip(*(rows[name].to_pylist() for name in rows.schema.names), strict=True):
                if number != page:
                    yield title, text
                page = number


def title_features(title: str) -> list[str]:
    """Return the parts of a title that may indicate its class: its bracket, its first and its last words.

    Words from the first lower-case word inside a title on are ignored: *University* of Oxford.
    """
    match = _BRACKET.match(title)
    name, bracket = (match[1], match[2]) if match else (title, "")
    features = [f"({bracket})", f"(… {bracket.split()[-1]})"] if bracket.strip() else []
    head, _, after = name.partition(", ")
    words = head.split()
    small = [index for index, word in enumerate(words) if index and is_small(word)]
    # `University of Oxford` loses `of Oxford`, but `Mountain lion` keeps its last word
    if small and not is_small(words[-1]):
        words = words[: small[0]]
    if after:
        features.append(f", {after}")
    if " " in head:
        features += [f"… {' '.join(words[-2:])}", f"… {words[-1]}"]
        # `2010 in film` and `List of rivers` begin with no name
        if not is_small(words[-1]) and not words[0][0].isdigit():
            features += [f"{words[0]} …", f"{' '.join(words[:2])} …"]
    return sorted({_DIGITS.sub("0", feature) for feature in features})


def phrase_features(text: str, language: str) -> list[str]:
    """Return the parts of a noun phrase that may indicate a class: its first word, its last word, and its last two.
    The phrase ends before punctuation or a phrase-closing word."""
    words = list[str]()
    _, articles, ends = _read_phrases(language)
    text = _ELIDED.sub(r"\1 ", text) if "l" in articles else text
    for word in map(str.lower, _WORD.findall(text)):
        # `der` is an article in German and also a closing word: it ends only a phrase that has begun
        if len(words) == _MOST_WORDS or not word[0].isalnum() or (word in ends and (words or word not in articles)):
            break
        if words or word not in articles:
            words.append(_DIGITS.sub("0", word))
    return sorted({f"{words[0]} …", f"… {words[-1]}", f"… {' '.join(words[-2:])}"}) if words else []


def sentence_features(text: str, language: str) -> list[str]:
    """Return the features of the phrase after a sentence's first copula (*is*, *was*)."""
    copulas, _, _ = _read_phrases(language)
    words = text.split()
    copula = next((index for index, word in enumerate(words[1:], 1) if word in copulas), len(words))
    return phrase_features(" ".join(words[copula + 1 :]), language)


@cache
def _read_phrases(language: str) -> tuple[frozenset[str], ...]:
    """Return a language's copulas, articles and phrase-closing words; empty sets if the table lacks the language."""
    table = {code: cells for code, *cells in read_columns("phrases.tsv", "language", "copulas", "articles", "ends")}
    # Simple English uses the words of English
    code = "en" if language == "simple" else language
    return tuple(frozenset(cell.split()) for cell in table.get(code, ("", "", "")))
