"""Strict parsing of answers: the server's response, the model's lines, and the mentions' positions in the text."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from nerbert.data.open_types import Mention, keep_usable, locate
from nerbert.records import OpenText

BYTES_PER_TOKEN = 3
"""For estimates, if a server doesn't report usage."""
SEPARATOR, NONE = "<>", "none"
"""The separator of the parts of a line, and the answer for a text without mentions."""
MOST_MENTIONS, LONGEST_DESCRIPTION = 500, 600
"""Maximum entries of an answer, and characters of a description; more count as bad lines, as do invalid types."""
_THOUGHTS, _END_OF_THOUGHTS = "<think>", "</think>"
"""Tags that some servers leave around a model's reasoning, which isn't part of the answer."""
EntryReader = Callable[[str, bool], tuple[list[Mention], int]]
"""Reader of an answer, given whether it is cut off: its entries, and the number of entries that can't be read."""


class Fault(StrEnum):
    """Reasons why a passage has no labels; the report counts them."""

    BUSY = "server_busy_or_broken"
    CONNECTION = "connection_lost"
    TOO_SLOW = "answer_too_slow"
    TOO_LARGE = "answer_too_large"
    REJECTED = "request_rejected"
    NO_COMPLETION = "not_a_completion"
    REFUSED = "refused_by_the_model"
    CUT_OFF = "answer_cut_off"
    NOT_THE_FORM = "not_the_form_asked_for"
    NOT_IN_TEXT = "no_mention_in_the_text"


class Failure(Exception):  # noqa: N818  (is counted; the run continues)
    """A failed try, of at most `tries`. `wait` is the pause that the server requests; a `lost` answer may cost."""

    def __init__(self, fault: Fault, message: str, *, tries: int = 2, wait: float = 0.0, lost: bool = False) -> None:
        super().__init__(" ".join(message.split())[:300])
        self.fault, self.tries, self.wait, self.lost = fault, tries, wait, lost


class Tokens(NamedTuple):
    """Number of tokens in requests and in answers."""

    input: int = 0
    output: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer (None: no answer), whether it was cut off, and its tokens, `estimated` if not reported."""

    content: str | None
    cut: bool
    tokens: Tokens
    estimated: bool


@dataclass(frozen=True, slots=True)
class Labels:
    """A text with its entities; the number of mentions that aren't in it, and of lines that couldn't be read."""

    text: OpenText
    invented: int
    bad: int


def read_reply(data: str, input_estimate: int) -> Reply:
    """Return the content of a server's answer; raise Failure if it doesn't contain a model's text.

    Since servers differ, only the text is required. If the server doesn't report usage, the request counts as
    `input_estimate` tokens, and the answer's tokens are estimated.
    """
    try:
        answer = json.loads(data)
        choice = answer["choices"][0]
        used = answer.get("usage")
        finish = choice.get("finish_reason")
        refusal = choice["message"].get("refusal")
        content = (choice["message"].get("content") or "").encode("utf-8", "replace")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        why = f"no chat completion: {error!r}; is this an OpenAI-compatible server? most addresses end in /v1"
        raise Failure(Fault.NO_COMPLETION, why, lost=True) from None
    spent = [used.get(f"{name}_tokens") for name in ("prompt", "completion")] if isinstance(used, dict) else [None]
    is_known = all(type(count) is int and 0 <= count < 1 << 40 for count in spent)
    tokens = Tokens(*spent) if is_known else Tokens(input_estimate, len(content) // BYTES_PER_TOKEN)
    refused = refusal or finish == "content_filter"  # still an answer, whose tokens are paid for
    return Reply("" if refused else content.decode(), finish == "length", tokens, not is_known)


def _read_lines(content: str, cut: bool) -> tuple[list[Mention], int]:
    """Return the entries of an answer, and the number of other lines; the last line of a cut answer isn't an entry."""
    lines = [line for line in content.split("\n") if line.strip()]
    if [line.strip().casefold() for line in lines] == [NONE]:
        return [], 0
    entries = []
    for line in lines[:-1] if cut else lines:
        mention, *parts = line.split(SEPARATOR)
        if 1 <= len(parts) <= 2:
            entries.append((mention, parts[0], parts[1] if len(parts) == 2 else ""))
    if not entries:
        fault = Fault.CUT_OFF if cut else Fault.NOT_THE_FORM
        raise Failure(fault, f"no line is `mention {SEPARATOR} concept`: {content!r:.120}", tries=1 if cut else 2)
    return entries, len(lines) - len(entries)


def read_labels(text: str, content: str, *, cut: bool, read: EntryReader = _read_lines) -> Labels:
    """Return a text with the entities that an answer names; raise Failure if the answer is unusable.

    `read` returns the entries of an answer and the number of bad ones, or raises Failure; the default reads lines.
    """
    content = content.rpartition(_END_OF_THOUGHTS)[2]
    if not content.strip() or content.lstrip().startswith(_THOUGHTS):
        if cut:
            raise Failure(Fault.CUT_OFF, "the answer is cut off before its first word", tries=1)
        raise Failure(Fault.REFUSED, "the answer is empty")
    entries, bad = read(content, cut)
    short = (entry for entry in entries[:MOST_MENTIONS] if len(entry[2]) <= LONGEST_DESCRIPTION)
    good = list(keep_usable(short, Counter()))
    bad += len(entries) - len(good)
    entities, invented = locate(text, dict.fromkeys(good))
    if entries and not entities:
        raise Failure(Fault.NOT_IN_TEXT, f"none of {len(entries)} mentions is in the text: {content!r:.120}")
    return Labels(OpenText(text, entities), len(invented), bad)
