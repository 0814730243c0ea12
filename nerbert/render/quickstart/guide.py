"""The README that `--keep` leaves: what each file of the road is, and how to open it."""

from nerbert.quickstart.result import Result, verdict
from nerbert.render.quickstart.terminal import NEXT

_FILES = {
    "corpus/": "the NER corpus: sentences with typed mentions (Parquet shards), `manifest.json` with every count of "
    "the funnel and what the corpus was made from, a data card",
    "corpus/pages/, corpus/titles/": "what pass 1 read from the dump: untyped sentences with their links, and a row a "
    "page; types and filters are made from these columns, so the dump is read once",
    "data/": "the {train} sentences of the sample domain that the taggers learn from (`train.conll`), the test "
    "sentences, and `manifest.json`, which says how they were drawn",
    "encoder-mlm/": "the encoder after guessing masked words of the corpus: a Hugging Face folder, with `nerbert.json` "
    "(what made it) and `log.jsonl` (a line a step and a scoring)",
    "encoder-ner/": "the encoder after learning the links' types on the same sentences for the same steps",
    "tagger-mlm/seed-N/, tagger-ner/seed-N/": "the taggers: Hugging Face folders for token classification",
    "report.html": "the page: picture, test sentences as tagged, curves, funnel",
    "result.svg": "the picture alone",
    "result.json": "every figure of the page",
}
_COMMANDS = """\
nerbert corpus show corpus --sentences 3
nerbert corpus show corpus --html corpus.html
nerbert evaluate tagger-ner data/test.conll --train data
echo "The whaler Ingeborg left Bergen in May." | nerbert tag tagger-ner/seed-{seed} --json
"""
_PYTHON = """\
import json
import pyarrow.parquet as parquet
from nerbert import Tagger

sentences = parquet.read_table("corpus/sentences")             # pandas, polars, DuckDB and datasets open it too
print(sentences.column("text")[0], sentences.column("mentions")[0])

manifest = json.load(open("corpus/manifest.json"))
print({{step["step"]: step["dropped"] for step in manifest["steps"]}})

steps = [json.loads(line) for line in open("encoder-ner/log.jsonl")]
print(steps[-1])

tagger = Tagger.load("tagger-ner/seed-{seed}")
for span in tagger.tag("The whaler Ingeborg left Bergen in May."):
    print(span.text, span.type, span.start, span.end, round(span.confidence, 2))
"""


def guide(result: Result) -> str:
    """The text, in Markdown."""
    told = {name.replace(", ", "`, `"): what.format(train=result.train) for name, what in _FILES.items()}
    files = "".join(f"- `{name}`: {what}\n" for name, what in told.items())
    commands, code = (block.format(seed=result.seeds[0]) for block in (_COMMANDS, _PYTHON))
    return (
        "# A tour of nerbert's files\n\nMade by `nerbert quickstart --keep`, in the order of the road. "
        f"{verdict(result)}\n\n{files}\n"
        f"## Open them\n\nIn this folder:\n\n```sh\n{commands}```\n\n```python\n{code}```\n\n"
        "## Next: your own data\n\n`my-data/` holds `train.conll` and `test.conll`: a word and its tag a line, a tab "
        "between them, an empty line after each sentence.\n\n```\n" + "\n".join(NEXT) + "\n```\n"
    )
