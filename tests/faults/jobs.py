"""The long commands, on the smallest inputs: each as a user runs it in a folder with `../inputs` beside it."""

from tests.faults.harness import Command

_TRAIN = """
epochs = 2
batch_size = 8
learning_rate = 5e-3
precision = "fp32"
max_length = 48
max_steps = 8
"""
_PRETRAIN = (
    _TRAIN
    + """
threads = 1
save_steps = 3
max_eval_samples = 20
fresh_num_layers = 1
fresh_hidden_size = 64
fresh_vocab_size = 300
"""
)
_CORPUS, _OPEN = 'corpus = "../inputs/corpus"\n', 'open_types.files = ["../inputs/open.jsonl"]\nwordings = false\n'
_LISTS = 'gazetteers = { files = ["../inputs/names.tsv"], max_words = 40 }\n'
PRETRAININGS = {
    "tagging": _CORPUS,
    "mlm": _CORPUS,
    "concepts": _OPEN,
    "names": _CORPUS + _OPEN,
    "zero_shot": _OPEN + "zero_shot.max_width = 3\n",
    "self_training": _CORPUS + _LISTS,
    "typing": _CORPUS + _LISTS + "typing = { num_clusters = 4, dimensions = 4 }\n",
}
"""The settings of each objective, without what all have."""
STAGES = f"""{_CORPUS}{_PRETRAIN}
[[stages]]
name = "ESI"
label_set = "1type"
max_steps = 4

[[stages]]
name = "NEE"
objective = "self_training"
{_LISTS}
[[stages]]
name = "FET"
objective = "typing"
{_LISTS}typing = {{ num_clusters = 4, dimensions = 4 }}
"""
SUITE = f"""
seeds = [1, 2]
[systems.tiny]
encoder = "../inputs/encoder"
[systems."tiny, source & target"]
same_encoder_as = "tiny"
source = "far"
[protocols.fast]
{_TRAIN}
min_steps = 0
source_epochs = 1
[[targets]]
data = "ships"
sizes = ["all", 3]
draw_by_seed = true
"""
SETTINGS = {
    **{f"{name}.toml": f'objective = "{name}"\n{_PRETRAIN}{more}' for name, more in PRETRAININGS.items()},
    "cofee.toml": STAGES,
    "suite.toml": SUITE,
    "finetune.toml": _TRAIN + "threads = 1\n",
    "cdlm.toml": _TRAIN + 'objective = "cdlm"\nschedule = "constant"\nwarmup_ratio = 0\nthreads = 1\n',
    "distil.toml": _TRAIN + "threads = 1\nmin_f1_share = 0\n",
}
"""The files with settings among the inputs."""
_PARTS = "nerbert.tagger.jobs.files:_PART=400"
_HERE = "nerbert_bench.runner:Resources=tests.faults.jobs:one_core nerbert_bench.runner:cores=tests.faults.jobs:single"


def one_core(**_: object) -> object:
    """Let cells of a benchmark run in the command's process, where their operations are counted."""
    from nerbert.executors import ONE_CORE

    return ONE_CORE


def single() -> int:
    """Return the number of cores with which a benchmark starts no other process."""
    return 1


def _command(name: str, arguments: str, patch: str = "", repeats: int = 6) -> Command:
    return Command(name, tuple(arguments.split()), patch, repeats)


CORPUS = _command(
    "corpus build",
    "corpus build ../inputs/wiki.xml --knowledge ../inputs/knowledge -o out --set split_bytes=25000 "
    "--set min_mentions=2",
    repeats=28,
)
TAG = _command("tag, file", "tag ../inputs/tagger ../inputs/texts/0.txt -o out.jsonl", _PARTS)
COMMANDS = {
    each.name: each
    for each in (
        CORPUS,
        _command("corpus build, workers", f"{' '.join(CORPUS.arguments)} --workers 2", repeats=10),
        _command("knowledge gazetteer", "knowledge gazetteer ../inputs/knowledge -o out.tsv"),
        *(_command(f"pretrain, {name}", f"pretrain ../inputs/{name}.toml -o out") for name in (*PRETRAININGS, "cofee")),
        _command(
            "finetune, seeds",
            "finetune ../inputs/encoder --data ../inputs/domain -o out --seeds 1,2 --config ../inputs/finetune.toml",
            repeats=8,
        ),
        _command(
            "finetune, cdlm",
            "finetune ../inputs/encoder --data ../inputs/data/ships --source ../inputs/data/far "
            "-o out --config ../inputs/cdlm.toml",
        ),
        TAG,
        _command("tag, workers", f"{' '.join(TAG.arguments)} --workers 2", _PARTS),
        _command("tag, folder", "tag ../inputs/tagger ../inputs/texts -o out", _PARTS),
        *(
            _command(f"tag, {kind}", f"tag ../inputs/tagger ../inputs/texts/0.txt -o out.{kind}", _PARTS)
            for kind in ("parquet", "html")
        ),
        _command(
            "distil",
            "distil ../inputs/tagger ../inputs/texts -o out --encoder ../inputs/encoder --config ../inputs/distil.toml",
            _PARTS,
        ),
        _command("benchmark", "benchmark ../inputs/suite.toml --data ../inputs/data -o out", _HERE),
        _command("export", "export ../inputs/tagger -o out --int8"),
    )
}
SERVED = {
    each.name: each
    for each in (
        _command("annotate", "annotate ../inputs/short.txt -o out.jsonl --endpoint {model} --model m --concurrency 1"),
        _command("knowledge fetch", "knowledge fetch --language en -o out --mirror {web}"),
    )
}
"""Commands that talk with someone else: a language model, a server of files."""
