"""A small result made by hand: no two of its figures are alike, so a page that mixes them up is noticed."""

from nerbert.evaluation.quickstart import ModelScores, QuickstartResult

TEXT = "The brig Ada left Bergen & Oslo <early> in May 1884 ."


def made_up_model(title: str, *f1: float, sentences: int = 31) -> ModelScores:
    """A model whose seeds reached `f1`."""
    by_type = {"port": 0.6543, "vessel": 0.7654, "date": 0.0707} if sentences else {"port": 0.4321, "vessel": 0.5432}
    return ModelScores(
        f"tagger-{title}" if sentences else title, title, sentences, f1, tuple(each + 0.1 for each in f1), by_type
    )


def made_up_result(
    toy: tuple[float, ...] = (0.312, 0.333, 0.377),
    tuned: tuple[float, ...] = (0.511, 0.556, 0.599),
    text: str = TEXT,
    tags: tuple[tuple[int, int, str, float], ...] = ((9, 12, "vessel", 0.91), (18, 24, "port", 0.84)),
) -> QuickstartResult:
    """A result of these F1s, with a sentence of the user's and its mentions."""
    return QuickstartResult(
        curve=((40, 0.4567), (80, 0.6789), (121, 0.5678)),
        models=(made_up_model("toy", *toy), made_up_model("good", 0.4321, sentences=0), made_up_model("good", *tuned)),
        seeds=tuple(range(1, len(toy) + 1)), train=31, mentions={"port": 1301, "vessel": 53, "date": 7},
        test=151, test_mentions=2643, text=text, tags=tags,
        made={"nerbert": "9.8.7", "machine": "made up"}, seconds=137.0,
    )  # fmt: skip
