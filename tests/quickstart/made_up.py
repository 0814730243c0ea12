"""A small result made by hand: no two of its figures are alike, so a page that mixes them up is noticed."""

from nerbert.evaluation.quickstart import EncoderResult, Marked, QuickstartResult, TaggedText

TEXT = "The brig Ada left Bergen & Oslo <early> in May 1884 ."


def made_up_encoder(key: str, *f1: float) -> EncoderResult:
    """An encoder whose seeds reached `f1`."""
    first = key == "mlm"
    return EncoderResult(
        key, "masked words of the same text" if first else "NER pre-trained: types of its links",
        "masked tokens found" if first else "F1 on types of links",
        steps=120 if first else 121, kept=80 if first else 121, tokens=12_345 if first else 23_456,
        seconds=17.0 if first else 19.0,
        curve=((40, 0.1234), (80, 0.2345), (120, 0.3456)) if first else ((40, 0.4567), (80, 0.5678), (121, 0.6789)),
        f1=f1, spans_f1=tuple(each + 0.1 for each in f1),
        by_type={"port": 0.4321, "vessel": 0.5432} if first else {"port": 0.6543, "vessel": 0.7654, "date": 0.0707},
    )  # fmt: skip


def made_up_result(
    mlm: tuple[float, ...] = (0.412, 0.433, 0.477),
    ner: tuple[float, ...] = (0.511, 0.556, 0.599),
    text: str = TEXT,
    marked: tuple[Marked, ...] = ((9, 12, "vessel"), (18, 24, "port")),
) -> QuickstartResult:
    """A result of these F1s, with a sentence of the user's and its mentions."""
    gold: tuple[Marked, ...] = ((9, 12, "vessel"), (18, 24, "port"), (27, 31, "port"))
    return QuickstartResult(
        encoders=(made_up_encoder("mlm", *mlm), made_up_encoder("ner", *ner)),
        seeds=tuple(range(1, len(mlm) + 1)), train=31, mentions={"port": 1301, "vessel": 53, "date": 7},
        test=151, test_mentions=2643,
        examples=(
            TaggedText(TEXT, {"gold": gold, "mlm": ((9, 24, "port"),), "ner": gold[:2]}),
            TaggedText("Nothing is here .", {"gold": ((0, 7, "vessel"),), "mlm": (), "ner": ()}),
        ),
        own=TaggedText(text, {"ner": marked}), confidences=tuple(0.91 - 0.07 * place for place in range(len(marked))),
        made={"nerbert": "9.8.7", "machine": "made up"}, seconds=137.0,
    )  # fmt: skip
