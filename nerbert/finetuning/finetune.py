"""Encoder + annotated sentences → tagger (NER-BERT §4.4), for each seed, written to folders.

Source & target trains on a source domain first, once for each seed. The test split is never looked at here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nerbert.artifacts import check_free, publish_folder, write_json
from nerbert.errors import SettingsError
from nerbert.finetuning.add_types import AddTypes, prepare
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.start import objective_for
from nerbert.finetuning.train_tagger import Finetuned, finetune_examples, held_out_facts, source_settings
from nerbert.formats.data import AnyData, DataSet, cut_of, read_data
from nerbert.formats.documents import Reading, reading_for
from nerbert.model.folder import TaggerFacts, TaggerHook, read_card
from nerbert.process import check_alone
from nerbert.training.objective import find_objective


def finetune(
    encoder: str, data: AnyData, output: Path, settings: FinetuneSettings, *, source: AnyData | None = None,
    seeds: Sequence[int] = (), overwrite: bool = False, calibrate: bool = True, card: TaggerHook | None = None,
    reading: Reading | None = None, labels: Mapping[str, str] | None = None, add_types: AddTypes | None = None,
) -> list[Path]:  # fmt: skip
    """Fine-tune `encoder` (a folder or a hub name) on `data`, once for each seed; return the taggers' folders.

    With `seeds`, even one, `output` holds `seed-N/` for each; without, it is the tagger, of the settings' seed. With
    `source`, each of them is trained on that first, with its own seed. Without `calibrate`, confidences are the model's
    own. `card` writes each tagger's model card. `reading` says how files are read; `labels` are as in
    `finetune_examples`. With `add_types`, `encoder` is a tagger that keeps its own types.
    """
    check_alone("fine-tuning")
    check_free(output, overwrite=overwrite)
    reading = reading_for(read_card(encoder), reading, training=True)
    target = read_data(data, reading=reading)
    origin = read_data(source, reading=reading) if source is not None else None
    folders = {seed: f"seed-{seed}" for seed in seeds} or {settings.seed: ""}
    if len(set(seeds)) != len(seeds):
        raise SettingsError(f"seeds {', '.join(map(str, seeds))}: one is given twice")
    facts, types, prepared = dict[str, Any](), list[str](), None
    if add_types:
        if origin:
            raise SettingsError(
                f"--source {origin.folder}: a tagger that keeps its types has no source domain; leave it out"
            )
        prepared = prepare(encoder, target, settings, add_types, labels)
        target, settings, labels = prepared.data, prepared.settings, prepared.labels
        facts, types = prepared.facts, prepared.own
    with publish_folder(output, overwrite=overwrite) as folder:
        for seed, name in folders.items():
            (folder / name).mkdir(exist_ok=True)
            own = replace(settings, seed=seed)
            tagger = finetune_data(encoder, target, own, source=origin, labels=labels, types=types)
            if prepared and prepared.old:
                both = prepared.with_old(tagger.head)
                tagger = finetune_data(encoder, both, own, labels=labels, types=types)
            if prepared and prepared.gate:
                facts["old_types"] = prepared.gate.check(tagger.head)
            tagger.save(folder / name, **facts, **(held_out_facts(tagger.head, target) if calibrate else {}))
            if card:
                card(folder / name, TaggerFacts(read_card(str(folder / name))))
        if seeds:
            write_json(folder / "manifest.json", {"kind": "taggers", "seeds": list(seeds)})
    return [output / name for name in folders.values()]


def finetune_data(
    encoder: str, target: DataSet, settings: FinetuneSettings, *, source: DataSet | None = None,
    labels: Mapping[str, str] | None = None, types: Sequence[str] = (),
) -> Finetuned:  # fmt: skip
    """Fine-tune an encoder on a data set in memory, first on `source` if there is one; return the tagger.

    `labels` and `types` are as in `finetune_examples`.
    """
    facts, seed = _origin(encoder, source, target.reading.language) | {"data": _facts(target)}, settings.seed
    splitter = target.reading.word_splitter or (source.reading.word_splitter if source else "")
    joined = source and find_objective(objective_for(encoder, settings).objective).joins_source
    if settings.select == "dev" and not (target.dev or (joined and source and source.dev)):
        why = f"setting select = 'dev': {target.folder} has no dev split; add one or use select = 'last'"
        raise SettingsError(why, setting="select")
    with TemporaryDirectory(prefix="nerbert-") as scratch:
        if source and not joined:
            finetune_examples(
                encoder, source.train, [], source_settings(settings, seed), Path(scratch), name=str(source.folder),
                what=f"source domain, seed {seed}",
            )  # fmt: skip
        return finetune_examples(
            scratch if source and not joined else encoder, target.train, target.dev, settings, name=str(target.folder),
            what=f"fine-tuning, seed {seed}", facts=facts, splitter=splitter, labels=labels,
            source=source if joined else None, types=types,
        )  # fmt: skip


def _origin(encoder: str, source: DataSet | None, language: str = "") -> dict[str, Any]:
    """Return a tagger card's facts about its origin, without a local folder's name; `language`: the data's."""
    name, card = None if Path(encoder).exists() else encoder, read_card(encoder)
    facts: dict[str, Any] = {
        "language": language or card.get("language", "en"),
        "encoder": {"kind": card.get("kind", "foreign"), "corpus": card.get("corpus"), "name": name},
    }
    return facts | ({"source_data": _facts(source)} if source else {})


def _facts(data: DataSet) -> dict[str, Any]:
    return {"name": data.folder.name, "sentences": len(data.train), "sha256": data.sha256, **cut_of(data.reading)}
