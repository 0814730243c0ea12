"""nerbert's fine-tuning or prediction as a process to be measured, beside plain_recipe.py: the command as users run it,
with a clock around its training.

`python benchmarks/run_finetune.py MODEL --data DATA -o FOLDER …` is `nerbert finetune` with the same arguments, and
`python benchmarks/run_finetune.py FOLDER --predict TEST.conll` tags through `Tagger` and scores by seqeval.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Fine-tune or predict; the last line is JSON."""
    arguments = sys.argv[1:]
    found = predict(arguments[0], Path(arguments[2])) if arguments[1] == "--predict" else fine_tune(arguments)
    print(json.dumps(found))


def fine_tune(arguments: list[str]) -> dict[str, Any]:
    """Run the command; what its call of `train` took, scoring on dev included, if there is a dev."""
    from nerbert.cli import app
    from nerbert.finetuning import finetune

    spent: dict[str, Any] = {"training_cpu_seconds": 0.0, "training_wall_seconds": 0.0, "steps": 0}
    inner = finetune.train

    def timed(*words: Any, **options: Any) -> Any:
        cpu, wall = time.process_time(), time.monotonic()
        log = inner(*words, **options)
        spent["training_cpu_seconds"] += time.process_time() - cpu
        spent["training_wall_seconds"] += time.monotonic() - wall
        spent["steps"] += log.steps
        return log

    finetune.train = timed
    app(["finetune", *arguments], result_action="return_value")
    return spent


def predict(tagger: str, file: Path) -> dict[str, Any]:
    """Score the raw greedy tags of all words."""
    from seqeval.metrics import f1_score

    from nerbert.data.splits import read_data
    from nerbert.labels import example_tags
    from nerbert.tagger.tagger import Tagger

    examples = read_data(file).train
    found = [each.tags for each in Tagger.load(tagger).tag_examples(examples)]
    return {"f1": float(f1_score([example_tags(each) for each in examples], found))}


if __name__ == "__main__":
    main()
