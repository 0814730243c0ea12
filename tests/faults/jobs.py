"""The long commands, on the smallest inputs: each as a user runs it in a folder with `../inputs` beside it."""

from tests.faults.harness import Command

CORPUS = Command(
    "corpus build",
    ("corpus", "build", "../inputs/wiki.xml", "--knowledge", "../inputs/knowledge", "-o", "out", "--set",
     "split_bytes=160000", "--set", "min_mentions=2"),
)  # fmt: skip
SMALL = """
epochs = 2
batch_size = 32
learning_rate = 5e-3
precision = "fp32"
threads = 1
fresh_num_layers = 1
fresh_hidden_size = 64
fresh_vocab_size = 600
max_length = 64
save_steps = 9
max_steps = 30
max_eval_samples = 100
"""
SETTINGS = {
    "tagging": 'corpus = "../inputs/corpus"\nobjective = "tagging"\n' + SMALL,
}


def pretrain(name: str) -> Command:
    """Return the pre-training with the settings of a name."""
    return Command(f"pretrain, {name}", ("pretrain", f"../inputs/{name}.toml", "-o", "out"))


COMMANDS = {each.name: each for each in (CORPUS, *map(pretrain, SETTINGS))}
