"""Sentences from clean text, by NLTK's Punkt, never cutting inside a link or before a small letter.

The paper splits with Punkt (NER-BERT §2.1). Its trained parameters are a download, so this Punkt has an abbreviation
list of ours instead; initials and numbers are handled by Punkt's own rules. The price: abbreviations that the list
lacks end a sentence before a capital, and a sentence that begins with "iPhone" is joined to the one before it.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from nerbert.records import Link

if TYPE_CHECKING:
    from nltk.tokenize.punkt import PunktSentenceTokenizer

SENTENCES = "punkt-abbreviations-1"
"""Name and version of this splitter, kept in the manifest."""

_ABBREVIATIONS = {
    "en": """adj adm al approx apr assn asst aug ave b bldg blvd bros c ca capt cf ch cmdr co col comdr corp cpl d dec
        dept dist dr e.g ed eds esp est etc ext feb fig fl fr ft gen gov hon i.e inc incl intl jan jr jul jun lieut lt
        ltd maj mar messrs mfg mr mrs ms mss mt mtn nov no nos n.b oct op opp p p.m a.m ph.d pl pp pres prof pt pvt r
        rd ref rep rev sen sep sept sgt sr ss st ste surg tr trans univ u.k u.n u.s u.s.a v vol vols vs d.c b.c a.d""",
    "de": """abb abs allg art aufl bd bde bearb bes betr bez bspw bzgl bzw ca d.h dipl dr ebd ehem eigtl einschl etc
        evtl f ff geb gem gest ggf ggü hl hrsg ing insb jh jhd jhdt jr kath lat lt max min mio mrd nr o.ä o.g orig phil
        prof rd s s.o s.u sog st std str tel u.a u.ä u.u usw v v.a vgl z.b z.t z.zt zit zw""",
    "it": """a.c d.c art ca cap cfr dott dr ecc es fig geom ing n num on p pag pagg prof rev s sec seg sig sigg sig.ra
        ss st vol voll v""",
    "fr": """art av apr bd ca cf chap dr ed env etc ex fig m mm mme mlle mgr n no p pp prof st ste t vol""",
}
_ORDINALS = {"de": [str(n) for n in range(1, 32)]}


def sentence_spans(block: str, links: Sequence[Link], language: str) -> list[tuple[int, int]]:
    """Character spans of the sentences of one paragraph, in order; `links` are those inside it, in order."""
    spans: list[tuple[int, int]] = []
    inside = iter(links)
    link = next(inside, None)
    for start, end in _punkt(language).span_tokenize(block):
        while link is not None and link.end <= start:
            link = next(inside, None)
        in_link = link is not None and link.start < start
        if spans and (in_link or block[start].islower()):
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


@cache
def _punkt(language: str) -> "PunktSentenceTokenizer":
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    parameters = PunktParameters()
    parameters.abbrev_types.update(_ABBREVIATIONS.get(language, "").split())
    parameters.abbrev_types.update(_ORDINALS.get(language, []))
    return PunktSentenceTokenizer(parameters)
