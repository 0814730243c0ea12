"""A result: its figures, who is ahead, and its JSON."""

from dataclasses import replace

import pytest

from tests.quickstart.made_up import made_up_encoder, made_up_result


def test_figures_of_an_encoder() -> None:
    encoder = made_up_encoder("mlm", 0.2, 0.4, 0.9)
    assert (encoder.mean, encoder.sd) == pytest.approx((0.5, 0.13**0.5))  # (0.09 + 0.01 + 0.16) / (3 - 1)
    assert encoder.summary == "50.00 ± 36.06"
    one_seed = made_up_encoder("mlm", 0.25)
    assert (one_seed.sd, one_seed.summary) == (0.0, "25.00 ± 0.00")
    assert made_up_result((0.5, 0.2, 0.3), (0.75, 0.1, 0.3)).gains == pytest.approx([0.25, -0.1, 0.0])
    mlm, ner = made_up_result().encoders
    assert (mlm.kept, mlm.best) == (80, 0.2345)  # not the last
    assert (ner.kept, ner.best) == (121, 0.6789)
    with pytest.raises(KeyError):
        _ = replace(mlm, kept=81).best


CLOSE = "Too close to call here: NER pre-training {} points of F1, the mean of {} seeds."
AHEAD = "NER pre-training is ahead by {} points of F1, in {} of {} seeds."
BEHIND = "Masked words are ahead by {} points of F1, in {} of {} seeds: the types of links did not help."
FIRST_LOOK = "NER pre-training {} points of F1, with one seed: no more than a first look."


@pytest.mark.parametrize(
    ("mlm", "ner", "told"),
    [
        ((0.5, 0.6), (0.53, 0.65), AHEAD.format("4.0", 2, 2)),
        ((0.53, 0.65, 0.4), (0.5, 0.6, 0.3), BEHIND.format("6.0", 3, 3)),
        # one seed is no more than a first look, however far ahead, behind or equal
        ((0.5,), (0.625,), FIRST_LOOK.format("+12.5")),
        ((0.5,), (0.25,), FIRST_LOOK.format("-25.0")),
        ((0.5,), (0.4999,), FIRST_LOOK.format("+0.0")),  # a hair behind: no "-0.0"
        # a point is enough, less is not, even where it rounds to one and all seeds agree
        ((0.0, 0.0), (0.01, 0.01), AHEAD.format("1.0", 2, 2)),
        ((0.01, 0.01), (0.0, 0.0), BEHIND.format("1.0", 2, 2)),
        ((0.0, 0.0), (0.0099, 0.0099), CLOSE.format("+1.0", 2)),
        ((0.0099, 0.0099), (0.0, 0.0), CLOSE.format("-1.0", 2)),
        ((0.5, 0.5), (0.5101, 0.4898), CLOSE.format("+0.0", 2)),  # a hair behind: no "-0.0"
        # gains of 1, 1, 1 and 5 have a mean of 2 and a deviation of 2: as much is too close, a little less is not
        ((0.0,) * 4, (1 / 64, 1 / 64, 1 / 64, 5 / 64), CLOSE.format("+3.1", 4)),
        ((1 / 64, 1 / 64, 1 / 64, 5 / 64), (0.0,) * 4, CLOSE.format("-3.1", 4)),
        ((0.0,) * 4, (1 / 64, 1 / 64, 1 / 64, 4.9 / 64), AHEAD.format("3.1", 4, 4)),
        ((1 / 64, 1 / 64, 1 / 64, 4.9 / 64), (0.0,) * 4, BEHIND.format("3.1", 4, 4)),
        ((0.0, 0.0), (0.01, 0.2), CLOSE.format("+10.5", 2)),  # all agree, but they are wide apart
        # the deviation is the gains', not the encoders': all gain the same, whatever the seeds reach
        ((0.1, 0.9), (0.125, 0.925), AHEAD.format("2.5", 2, 2)),
        # wide of a point and of the deviation, but one seed is behind, or equal
        ((0.2,) * 4, (0.3, 0.3, 0.3, 0.199), CLOSE.format("+7.5", 4)),
        ((0.2,) * 4, (0.3, 0.3, 0.3, 0.2), CLOSE.format("+7.5", 4)),
        ((0.3, 0.3, 0.3, 0.2), (0.2,) * 4, CLOSE.format("-7.5", 4)),
    ],
)
def test_verdict_says_no_more_than_the_seeds(mlm: tuple[float, ...], ner: tuple[float, ...], told: str) -> None:
    assert made_up_result(mlm, ner).verdict == told
