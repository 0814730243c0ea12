"""Split text into sentences by rules: a compiled expression finds every possible sentence end, and word lists decide.

Faster than Punkt, with fewer errors. Cost: tables to maintain, and joined sentences in doubtful cases.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache

import regex

from nerbert.tables import read_columns
from nerbert.words import DOMAIN_ENDING, is_small

Span = tuple[int, int]

_OPEN = "\"'“„‟‘‚‛«»‹›(\\[{¿¡–—*-"
_UNSEEN = "\u200b-\u200f\u202a-\u202e\u2066-\u2069"
_CLOSE_ALL = f"\\])}}\"'”’»›¹²³⁰⁴-⁹*†‡{_UNSEEN}"
_CLOSE = f"{_CLOSE_ALL}“«"
_WIDE_CLOSE = f"{_CLOSE_ALL}）」』》〉】"
"""Characters that may follow end marks, and those that may follow wide ones."""
_PAIRS = {pair[1]: pair[0] for pair in ("()", "（）", "「」", "『』", "“”", "《》", "〈〉", "【】")}
_END = ".!?…؟۔॥։߹᙮"
_WIDE = "。！？｡।።፡፧፨။၊។៕᱾᱿᠃᠉꧉᭟꯫།༎༑"
"""Wide end marks: they end a sentence, with or without white space after them."""
_NO_MARK = "(?!(?<=፡)[^፡]|(?<=၊)[^၊။]|(?<=\\ །)\\S)"
"""An Ethiopic word divider or a Burmese comma isn't an end mark, but two are; a Tibetan mark may open a text."""
_NO_END = "(?!\\ ?ល\\ ?។|を|の(?!ち)|は(?=、)|[はがにとも](?=[一-鿿ァ-ヶ]))"
"""Excluded after wide marks: "etc." in Khmer, and Japanese particles (names may contain such a mark)."""


@cache
def _candidates(marks: str, spaced: bool) -> re.Pattern[str]:
    """Return the expression for every possible sentence end; `marks` are the additional end marks of the language.

    Groups for end marks before white space: (1) the sentence's end, (2) the first character after it; for wide marks:
    (3) the end. `spaced` is for languages that write « Oui. ». The expression begins with a single class, which `re`
    finds at the speed of C; lookbehinds make the engine read a run of marks once.
    """
    end = _END + marks
    opening = _OPEN.replace("»", "") if spaced else _OPEN
    close = rf"[{_CLOSE}]*+(?:[ \xa0\u202f]»)?+" if spaced else rf"[{_CLOSE}]*+"
    return re.compile(
        rf"[\n{end}{_WIDE}](?:(?<=\n)"
        rf"|(?<=[{end}])(?<![{end}][{end}])[{end}]*+{close}(?:\[\d{{1,3}}\])*+()[^\S\n]++"
        rf"(?=[{opening}]{{0,3}}+[ \xa0\u202f]?+([^a-z\s.,;:!?…)\]]))"
        rf"|(?<=[{_WIDE}])(?<![{_WIDE}༄༅][{_WIDE}])(?<![{_WIDE}]\ །){_NO_MARK}"
        rf"[{_WIDE}]*+(?:\ །)*+[{_WIDE_CLOSE}]*+(?:\[\d{{1,3}}\])*+()"
        rf"[^\S\n]*+(?=[^\s{_WIDE}.,;:、，；：]){_NO_END})"
    )


_OPENING = "".join(_PAIRS.values())
_CLOSING = "".join(_PAIRS)
_OPENS = re.compile(f"[{_OPENING}]")
_INSIDE = re.compile(
    rf"(?:[^\n{_OPENING}{_CLOSING}]*+[{_OPENING}][^\n{_OPENING}{_CLOSING}]*+[{_CLOSING}])*+"
    rf"[^\n{_OPENING}{_CLOSING}]*+([{_CLOSING}])"
)
"""Text up to (1) a closing bracket without its opening one; complete pairs of brackets before it are skipped."""
_UNTIDY = re.compile(r"\n(?:(?<=\s\n)|\s)")
_MARKS = "\u0300-\u036f\u064b-\u065f\u0900-\u0963\u0971-\u0dff\u200c\u200d"
"""Vowel signs and joiners, which `re` doesn't count as letters; the Indic blocks contain letters too."""
_STOP = re.compile(r"\.(?!\.)|۔")
_NEXT_WORD = re.compile(rf"[{_OPEN}]{{0,3}}+[ \xa0\u202f]?+((?:[^\W\d_]|[{_MARKS}])++)(?![.\w-])")
_CORE = re.compile(rf"(?s:.*[^\w.{_MARKS}])?([\w.{_MARKS}]*)")
_LETTERS = rf"(?:[^\W\d_][{_MARKS}]*+){{1,3}}"
_DOTTED = re.compile(rf"(?:{_LETTERS}\.-?)+{_LETTERS}")
_SPACED = re.compile(r"\b([^\W\d_])\.[ \xa0](\w{1,3})\Z")
"""A letter and a short word, each with a full stop."""
_ADDRESS = re.compile(rf"@|://|^www\.|{DOMAIN_ENDING}$")
_VIRAMAS = "\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca"
_SYLLABLE = re.compile(rf"(?=[\u0900-\u0dff])[^\W\d_](?:[{_VIRAMAS}]\u200d?[^\W\d_]|\W)*+")
"""A syllable of an Indic script, which may be an initial. A letter after a virama belongs to the previous letter."""
_CASELESS = re.compile("[א-ת\u0620-\u064a\u0671-\u06d3\u0710-\u072f]")
"""Letters of scripts without capitals in which a single letter is an initial."""
_ROMAN = re.compile(r"[IVXLC]+\b")
_SECTION = re.compile(r"(?:\d{1,2}[.٫])+\d{1,2}")
"""A section's number: `2.1`."""
_HOUSE = re.compile(r"\d{1,3}(?![.,]?\d)")
"""A house number: too short for a year, and not an amount."""
_NO_VOWEL = re.compile(
    r"[B-DF-HJ-NP-TV-Zb-df-hj-np-tv-xz][b-df-hj-np-tv-xz]{1,3}"
    r"|[БВГДЖЗКЛМНПРСТФХЦЧШЩбвгджзклмнпрстфхцчшщ][бвгджзклмнпрстфхцчшщ]{1,3}"
)
_OPENERS = frozenset(_OPEN)
_PLAIN = 5
"""Minimum letters of a word that is assumed to be ordinary unless it is listed."""
_PARENTHESIS = 200
"""No sentence ends inside a parenthesis that closes within this many characters."""
_SCRIPT = "ก-ฮะ-ๅ็-๎ກ-ຮະ-ໄ່-ໍໜ-ໟក-៓က-ဿၐ-႟ꧠ-꧿ꩠ-ꩿ"
_SPACE = re.compile(
    rf"\([^()\n]{{0,200}}\)|“[^“”\n]{{0,200}}”|\"[^\"\n]{{0,200}}\""
    rf"|(?<=[{_SCRIPT}]{{15}})([^\S\n])(?=[{_SCRIPT}]{{15}})"
)
"""A part in brackets, or (1) a space between two runs of a script that writes spaces only between clauses."""
_WORD, _LETTER, _LATIN = map(regex.compile, (r"\p{L}[\p{L}\p{M}\u200c\u200d]+", r"\p{L}", r"\p{Latin}"))
"""A word to count: of two characters, since "d", "i" and "s" are words of some languages and parts of English ones."""
_OF_SCRIPT = re.compile(
    "(?P<th>[\u0e00-\u0e7f])|(?P<lo>[\u0e80-\u0eff])|(?P<bo>[\u0f00-\u0fff])|(?P<my>[\u1000-\u109f])|(?P<km>[\u1780-\u17ff])"
)
"""A letter of a script, by its largest language."""
_READ = 4000
"""Characters of a text from which its language is guessed."""
_LEAST_LETTERS, _LEAST_WORDS = 20, 4
"""Letters of other scripts, and known words of another language, from which on a text is foreign."""
_TIMES = 2
"""So many times as many words are known in the other language as in one's own."""
SEVERAL_LANGUAGES = "multilingual"
"""The language of a model that was trained on texts in several languages: that of each text is guessed."""
_PART = 40
"""Minimum length of a part of a long sentence, in characters."""


class RuleSplitter:
    """A sentence splitter with rules and word lists."""

    name = "rules-3"

    def __init__(self, language: str) -> None:
        self._never = listed_words(language, "never")
        self._seldom, self._numbered = (listed_words(language, kind) - self._never for kind in ("seldom", "numbered"))
        self._units = listed_words(language, "unit") - self._never - self._seldom
        self._listed = self._never | self._seldom | self._numbered | {word.upper() for word in self._never}
        self._starters = listed_words(language, "starter")
        rules = {
            rule: value
            for rule, value, of in read_columns("sentence_rules.tsv", "rule", "value", "languages")
            if language in of.split()
        }
        self._ordinals, self._long = (int(rules.get(rule, 0)) for rule in ("ordinal", "long"))
        self._no_stops = "no stop" in rules
        self._streets = tuple(rules.get("street", "").split())
        self._sections = "section" in rules
        self._consonants = bool(self._starters) and "few vowels" not in rules
        self._candidates = _candidates(rules.get("end", ""), "spaced quotes" in rules)
        self._joiners = tuple(listed_words(language, "joiner"))

    def spans(self, text: str) -> list[Span]:
        """Return the sentences of a text, in order."""
        spans: list[Span] = []
        start = seen = 0
        for match in self._candidates.finditer(text):
            (mark, end), (close, _), (first, _), (wide, _) = match.regs
            # An end mark before white space: words decide, such as "Dr." or "p.m.".
            if first >= 0:
                word = text[text.rfind(" ", seen, mark) + 1 or seen : mark]
                # A fast path: a long ordinary word ends a sentence, without the rules for abbreviations.
                plain = len(word) >= _PLAIN and word.isalpha() and word not in self._listed and text[mark] not in "…:"
                # `_candidates` excludes a–z; "é" and "и" are looked at here: "It went, émile came. émile left."
                small = text[first] > "z" and is_small(text[first])
                street = self._streets and self._is_street(text, word, mark, close, first)
                ends = not small and not street and (plain or self._ends(text, word, mark, close, first, start))
                ends = ends and not _in_parenthesis(text, start, mark, close, end)
            # An end mark of another script, such as "。", which needs no space after it.
            elif wide >= 0:
                close = wide
                ends = _ends_wide(text, start, mark, wide, end)
            else:
                # A line's end ends a sentence without a mark.
                close = mark
                ends = True
            seen = end
            if ends:
                spans.append((start, close))
                start = end
        spans.append((start, len(text)))
        return self._tidy(text, spans)

    def _tidy(self, text: str, spans: list[Span]) -> list[Span]:
        """Return sentences without white space around them; in a script without marks, long ones are cut."""
        # Thai and Khmer write few or no marks at the ends of sentences.
        if self._long:
            spans = [piece for span in spans for piece in self._cut_at_spaces(text, *span)]
        # Trimming each sentence is slow, and most texts need none.
        is_tidy = text == text.strip() and text and not _UNTIDY.search(text)
        return spans if is_tidy else trim_spans(text, spans)

    def _cut_at_spaces(self, text: str, start: int, end: int) -> Iterator[Span]:
        """Yield the parts of a sentence; a part ends at a space between two long runs of the script."""
        for match in _SPACE.finditer(text, start, end) if end - start > self._long else ():
            cut = match.start(1)
            # A joiner ("ซึ่ง", which) after the space continues the sentence.
            if cut - start >= self._long and end - cut >= _PART and not text.startswith(self._joiners, match.end()):
                yield start, cut
                start = match.end()
        yield start, end

    def _is_street(self, text: str, word: str, mark: int, close: int, first: int) -> bool:
        # "Bahnhofstr. 5": a street's abbreviation before a house number.
        is_house = close == mark + 1 and _HOUSE.match(text, first) is not None
        return is_house and word.lower().endswith(self._streets)

    def _ends(self, text: str, word: str, mark: int, close: int, first: int, start: int) -> bool:
        """Return whether a sentence ends after `word` and the mark at `mark`, before a capital or a caseless letter."""
        # Only a full stop may belong to an abbreviation; "?" and "…" have rules of their own.
        if not _STOP.match(text, mark):
            return _ends_without_stop(text, word, mark, close, first, start)
        core = self._find_core(word, text[first : first + 2])
        # "No. 5" goes on, "He said no." doesn't.
        numbered = core in self._numbered and (text[first].isdigit() or _ROMAN.match(text, first))
        if numbered or core in self._never or self._is_pair(text, core, mark):
            return False
        # A unit may end a sentence ("It is 5 km. Buses run.") although it has no vowels.
        if core in self._units and core == word:
            return True
        # After "U.S." only a word that often begins sentences ("The", "In") shows an end.
        if core in self._seldom or (not _ADDRESS.search(word) and self._looks_short(core, word)):
            following = _NEXT_WORD.match(text, close + 1)
            return following is not None and following[1] in self._starters
        # A number that begins a sentence is that of an item.
        return not (self._no_stops or (core.isdigit() and mark - len(core) == start))

    def _find_core(self, word: str, following: str) -> str:
        # "(dell'ing" is listed as "ing"; most words need no search for their core.
        core = word if word.isalnum() or word in self._listed else _core(word)
        # Headings: "MRS. DALLOWAY" has the abbreviation "Mrs".
        return self._without_capitals(core, following) if core.isupper() and len(core) > 1 else core

    def _without_capitals(self, core: str, following: str) -> str:
        """Return a word in capitals as it is listed, if capitals or a number follow: "NO. 5" has the word "no"."""
        lower = core.lower()
        # In "It is about CA. So." no heading follows, so "CA" isn't the abbreviation "ca".
        is_heading = following[0].isdigit() or following.isupper()
        return lower if is_heading and lower in self._listed else core

    def _looks_short(self, core: str, word: str) -> bool:
        """Return whether an unlisted word looks like an initial, acronym, ordinal or abbreviation."""
        # An initial: "J. Smith", and "l'A. Rossi", but not the end of "isn't".
        if len(core) == 1 and (core.lower() != core.upper() or _CASELESS.match(core)):
            return _is_initial(core, word[-2:-1])
        # "प्र. के. अत्रे" has initials of several characters; "U.S" and "Z.B" have inner stops.
        if _SYLLABLE.fullmatch(core) or ("." in core and _DOTTED.fullmatch(core)):
            return True
        if self._sections and _SECTION.fullmatch(word):
            return True
        # "Am 3. Oktober", but "1990." is a year, and "+49" a telephone number.
        if self._ordinals and core.isdigit():
            return len(core) <= self._ordinals and word[0] != "+"
        # "Ludwig XIV. König".
        if self._ordinals and _ROMAN.fullmatch(core):
            return True
        # "Sgt" and "bldg" look like abbreviations, unless words of the language lack vowels ("Krk").
        return self._consonants and bool(_NO_VOWEL.fullmatch(core))

    def _is_pair(self, text: str, core: str, mark: int) -> bool:
        """Return whether a letter and a short word before `mark` are one abbreviation ("z. B", "p. ex")."""
        # Both parts alone may end a sentence: "ex." does, "p. ex." doesn't.
        match = _SPACED.search(text, max(mark - 8, 0), mark) if len(core) < 4 else None
        return match is not None and f"{match[1]}.{match[2]}".lower() in self._never


def join_in_links(spans: Sequence[Span], starts: Sequence[int], ends: Sequence[int]) -> list[Span]:
    """Merge sentences whose boundary is inside a link; links, given as starts and ends, are sorted and disjoint."""
    # The arrays may be numpy's, whose truth is undefined.
    if not len(starts):
        return list(spans)
    joined: list[Span] = []
    link = 0
    links = len(starts)
    for span in spans:
        while link < links and ends[link] <= span[0]:
            link += 1
        # A link such as "Yes! No? Maybe." is one name, and must not be cut.
        if joined and link < links and starts[link] < span[0]:
            joined[-1] = (joined[-1][0], span[1])
        else:
            joined.append(span)
    return joined


@cache
def _word_rows() -> list[tuple[str, ...]]:
    return list(read_columns("sentence_words.tsv", "languages", "kind", "words"))


def languages_with(kind: str) -> list[str]:
    """Return the codes of languages that have words of a kind, joined by spaces where they share them."""
    return [codes for codes, group, _ in _word_rows() if group == kind and codes != "*"]


@cache
def _frequent_words() -> dict[str, frozenset[str]]:
    """Return the words that often begin sentences, in lower case, by the codes of the languages that share them."""
    return {
        codes: frozenset(map(str.lower, listed_words(codes.split()[0], "starter")))
        for codes in languages_with("starter")
    }


def _count_known(text: str) -> dict[str, int]:
    """Return how many of each language's frequent words a text's beginning has, by the languages' codes."""
    words = {word.lower() for word in _WORD.findall(text[:_READ])}
    return {codes: len(words & listed) for codes, listed in _frequent_words().items()}


def guess_language(text: str) -> str:
    """Return the code of the language with most of the frequent words in a text's beginning, if it is clear.

    Scripts whose languages have no such words are known by a letter. Else it is `SEVERAL_LANGUAGES`.
    """
    counts = _count_known(text)
    likely, next_one = sorted(counts, key=lambda codes: counts[codes], reverse=True)[:2]
    # One known word is chance: "die" is German and English.
    if counts[likely] > max(counts[next_one], 1):
        return likely.split()[0]
    letter = _OF_SCRIPT.search(text[:_READ])
    return str(letter.lastgroup) if letter else SEVERAL_LANGUAGES


def is_foreign(text: str, language: str) -> bool:
    """Return whether a text is in another language than a code's; False if that is of another script than Latin.

    Short texts and lists of names aren't told, and some pairs of languages are too close.
    """
    own = _latin_group(language)
    if not own:
        return False
    text = text[:_READ]
    letters = len(_LETTER.findall(text))
    if letters - len(_LATIN.findall(text)) >= max(letters / 2, _LEAST_LETTERS):
        return True
    counts = _count_known(text)
    return max(counts.values()) >= max(_LEAST_WORDS, _TIMES * counts[own] + 1)


@cache
def _latin_group(language: str) -> str:
    """Return the codes of the languages that share a language's frequent words, if they are in Latin script."""
    groups = [codes for codes in _frequent_words() if language.partition("-")[0] in codes.split()]
    return next((codes for codes in groups if all(map(_LATIN.match, _frequent_words()[codes]))), "")


def splitter_for(language: str, text: str) -> RuleSplitter:
    """Return the splitter of a language; of the text's own for a model of several languages.

    Where that isn't clear, all languages' abbreviations count, and a number before a full stop ends no sentence.
    """
    return _splitter_of(guess_language(text) if language == SEVERAL_LANGUAGES else language.partition("-")[0])


_splitter_of = cache(RuleSplitter)


@cache
def listed_words(language: str, kind: str) -> frozenset[str]:
    """Return the words of a kind in `sentence_words.tsv`, for a language or for all; abbreviations also capitalised."""
    rows = _word_rows()
    abbreviations = kind in ("never", "seldom", "numbered")
    words = [
        word
        for codes, group, listed in rows
        if group == kind
        # A model of several languages knows the abbreviations of all: joining is better than cutting.
        and (codes == "*" or language in codes.split() or (language == SEVERAL_LANGUAGES and abbreviations))
        for word in listed.split()
    ]
    return frozenset([*words, *(word[0].upper() + word[1:] for word in words if len(word) > 1 and abbreviations)])


def _core(word: str) -> str:
    """Return the last part of the text between white space and a full stop: "(dell'ing" → "ing", "Z.B" → "z.b"."""
    match = _CORE.fullmatch(word)
    core = match[1].lstrip(".") if match else word
    return core.lower() if "." in core else core


def _ends_without_stop(text: str, word: str, mark: int, close: int, first: int, start: int) -> bool:
    """Return whether a sentence ends after dots, a colon, an exclamation or question mark."""
    if text[mark] == "…" or text.startswith("..", mark):
        # "[...] Foo" and a text that begins with dots: what was left out isn't an end.
        previous = text[mark - 1] if word else text[max(start, mark - 2)]
        return mark > start and previous not in _OPENERS and text[first].isalpha() and "]" not in text[mark:close]
    # In Armenian, a typed colon is the full stop; before a small letter it is a colon.
    if text[mark] == ":":
        return text[first].isupper()
    # "What? (2) …" goes on with an item of a list.
    return not (text[first].isdigit() and text[first - 1] == "(")


def _in_parenthesis(text: str, start: int, mark: int, close: int, end: int) -> bool:
    """Return whether an end mark is in a parenthesis that closes soon and doesn't begin the sentence."""
    opened = text.rfind("(", start, mark)
    # A parenthesis that begins the sentence holds whole sentences: "(He died. She lived.)"
    if opened < 0 or opened <= text.rfind(")", start, close) or text[start] == "(":
        return False
    return ")" in text[end : end + _PARENTHESIS].partition("\n")[0].partition("(")[0]


def _is_initial(letter: str, previous: str) -> bool:
    return not previous or (letter.isupper() if previous in "'’" else previous in _OPENERS)


def _ends_wide(text: str, start: int, mark: int, close: int, end: int) -> bool:
    """Return whether a sentence ends at `close`, after the wide end mark at `mark` and closing brackets.

    It doesn't inside brackets that close soon, or in a quotation ("「…。」と言った") without white space or a colon.
    """
    if is_small(text[end]):
        return False
    low = max(start, mark - _PARENTHESIS)
    if _OPENS.search(text, low, mark) and (inside := _INSIDE.match(text, close, close + _PARENTHESIS)):
        opened = text.rfind(_PAIRS[inside[1]], low, mark)
        if opened >= 0 and text.find(inside[1], opened, close) < 0:
            return False
    last = text[close - 1]
    # White space after the quotation shows the end.
    if end > close or last not in _PAIRS:
        return True
    opened = text.rfind(_PAIRS[last], low, mark)
    return opened >= 0 and (text[opened - 1 : opened] in (":", "：") or (opened == start and last in ")）"))


def trim_spans(text: str, spans: Sequence[Span]) -> list[Span]:
    """Return spans without leading and trailing white space; drop blank ones."""
    result = []
    for start, end in spans:
        piece = text[start:end]
        first = start + len(piece) - len(piece.lstrip())
        if first < end:
            result.append((first, start + len(piece.rstrip())))
    return result
