"""Remove bold and italic marks and keep apostrophes, line by line, as MediaWiki's `doQuotes` does.

Two, three or five apostrophes are a mark. Of four, one is text; of more than five, all but five are text. In a line
with odd numbers of both bold and italic marks, one bold mark is read as an apostrophe and an italic mark. So
`''Hamlet'''s` keeps its apostrophe. This costs a second pass over lines with a bold mark.
"""

import re
from collections.abc import Sequence

_RUN = re.compile("''+")


def remove_marks(source: str) -> str:
    """Remove the bold and italic marks from the text."""
    if "'''" not in source:
        return source.replace("''", "")
    return "\n".join(_settled(line) if "'''" in line else line.replace("''", "") for line in source.split("\n"))


def _settled(line: str) -> str:
    """Return the line without its marks."""
    widths = [len(run) for run in _RUN.findall(line)]
    bold, italic = (sum(width in (kind, 5) for width in widths) for kind in (3, 2))
    if set(widths) <= {2, 3, 5} and not (bold % 2 and italic % 2):
        return _RUN.sub("", line)
    return _resolved(line)


def _resolved(line: str) -> str:
    """Return the line without its marks, where some runs also contain apostrophes."""
    runs = [match.span() for match in _RUN.finditer(line)]
    marks = [end - (3 if end - start == 4 else min(end - start, 5)) for start, end in runs]
    widths = [end - mark for mark, (_, end) in zip(marks, runs, strict=True)]
    bold, italic = (sum(width in (kind, 5) for width in widths) for kind in (3, 2))
    if bold % 2 and italic % 2 and 3 in widths:
        marks[_lone(line, marks, widths)] += 1
    pieces, place = [], 0
    for mark, (_, end) in zip(marks, runs, strict=True):
        pieces.append(line[place:mark])
        place = end
    return "".join([*pieces, line[place:]])


def _lone(line: str, marks: Sequence[int], widths: Sequence[int]) -> int:
    """Return the number of the bold mark that contains an apostrophe.

    It is the first after a one-letter word, else the first after a longer word, else the first after a space.
    """
    bold = [number for number, width in enumerate(widths) if width == 3]
    spaces = [number for number in bold if line[max(marks[number] - 1, 0) : marks[number]] == " "]
    after_space = set(spaces)
    words = [number for number in bold if number not in after_space]
    letters = [number for number in words if line[max(marks[number] - 2, 0) : marks[number]][:1] == " "]
    return (letters or words or spaces)[0]
