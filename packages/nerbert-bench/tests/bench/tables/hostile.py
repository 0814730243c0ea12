"""A table in which every name, message and fact is meant to do harm."""

from nerbert_bench.cells import Cell, State
from nerbert_bench.suite import Published, SystemSettings, Target
from nerbert_bench.tables.results import BenchmarkTable
from nerbert_bench.tables.table import make_table
from tests.bench.tables.made_up import made_up_suite, scores_of

BAD = (
    "<script>alert(1)</script>",
    "</style><b>",
    "a|b",
    "**bold** `code` [x](javascript:y) ![i](http://e.org/i.png)",
    "\\input{/etc/passwd}",
    "50% & {#} $x^2$ ~_",
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(A1)",
    "\x1b[31mred\x07",
    "line\nend\r\n# head",
    "a,b\"c';",
    "[bold red]x[/bold red]",
    "\u202eevil",
    "*[1em]",
    "漢字 é \u2028",
)
"""What a system, a data set, a type or an error may be called to do harm."""


def hostile_table() -> BenchmarkTable:
    suite = made_up_suite(
        systems={name: SystemSettings() for name in BAD},
        baseline=BAD[0],
        title=BAD[0],
        about=BAD[11],
        seeds=(1, 2, 3),
        targets=tuple(Target(data=name, sizes=("10", "all")) for name in BAD[:4]),
        published=(Published(name=BAD[1], of=BAD[3], f1={BAD[0]: 1.0}),),
    )
    scores = scores_of(0.5)
    scores["by_type"] = dict.fromkeys(BAD, scores["by_type"]["person"])
    scores["rules"] = BAD[4]
    facts = {"device": BAD[5], "versions": {BAD[0]: BAD[10]}, "encoder": BAD[11]}
    cells = [
        Cell(place, State.FAILED, BAD[place.seed])
        if place.system in BAD[5:9]
        else Cell(place, State.DONE, scores=scores, facts=facts)
        for place in suite.cell_keys()
    ]
    return make_table(suite, cells)
