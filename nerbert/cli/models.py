"""Models: from `nerbert pretrain` to `nerbert export`."""

import shlex
import sys
from pathlib import Path

import nerbert
from nerbert.cli import options as opt


def pretrain(
    config: Path,
    *,
    output: opt.Output,
    set_: opt.Set = None,
    run: opt.Run = opt.RUN,
    overwrite: opt.Overwrite = False,
    dry_run: opt.Flag = False,
) -> None:
    """Train an encoder on a corpus, as a tagger over the corpus's categories.

    A run can be interrupted: rerun the command to resume it. For several processes, use torchrun: `torchrun
    --nproc-per-node 4 -m nerbert pretrain …`. Before training, --workers cut the corpus into windows.

    If the settings have [[stages]] tables, each stage is an encoder's folder in the output and starts from the previous
    one. Finished stages are skipped. --set NAME.key=value applies to the stage NAME only.

    Parameters
    ----------
    config
        Settings file (TOML): at least `corpus`. The package has configs/small.toml, configs/paper.toml,
        configs/nuner.toml, configs/gliner.toml, configs/nuner_zero.toml, configs/nuner_zero_span.toml and, in stages,
        configs/cofee.toml (nerbert-papers).
    output
        Folder to make: a Hugging Face token-classification model.
    dry_run
        Run a few steps, and print peak memory, tokens per second and hours. Only the cache of windows is written. With
        stages, the first unfinished one is tried.
    """
    from nerbert.encoder.pretrain import dry_run as run_dry
    from nerbert.encoder.settings import PretrainSettings
    from nerbert.encoder.stages import pretrain_stages, read_stages
    from nerbert.render.cards import write_encoder_card
    from nerbert.render.terminal import print_dry_run, print_log
    from nerbert.training.sections import load_settings

    stages = read_stages(config, set_ or [], output)
    if stages and dry_run:
        tried = next((stage for stage in stages if overwrite or not stage.done), stages[-1])
        settings, output = tried.settings, tried.folder
    elif not stages:
        settings = load_settings(PretrainSettings, config, set_ or [])
    with run.open_executor() as executor:
        if dry_run:
            print_dry_run(run_dry(settings, output, overwrite=overwrite, executor=executor), output)
        elif stages:
            card = write_encoder_card
            for stage, log in pretrain_stages(stages, overwrite=overwrite, card=card, executor=executor):
                print_log(log, stage.folder)
        else:
            print_log(nerbert.pretrain(output, settings, overwrite=overwrite, executor=executor), output)


def finetune(
    encoder: str = "",
    *,
    data: Path,
    output: opt.Output,
    source: Path | None = None,
    seeds: str = "",
    labels: str = "",
    add_types: opt.Flag = False,
    old_data: Path | None = None,
    same_types: opt.Flag = False,
    config: opt.Config = None,
    set_: opt.Set = None,
    read: opt.Read = opt.READ,
    overwrite: opt.Overwrite = False,
) -> None:
    """Train a tagger: fine-tune an encoder on annotated sentences.

    Parameters
    ----------
    encoder
        Model folder or hub name; default: `minilm`, or `many` with a --language that isn't English.
    data
        Folder with a file train (and dev) in any format, such as train.conll; or one file.
    output
        Folder to make: the tagger, or with --seeds a folder seed-N for each seed.
    source
        Data of a source domain to train on first (source & target).
    seeds
        Comma-separated seeds, for example 1,2,3.
    labels
        Words that a model with labels at run time reads for types: "politicalparty=political party,PER=person", or a
        file with one `TYPE=label` per line. The default is the type's name in words. Of a type that no sentence has the
        tagger learns nothing: it finds it as the model did before. With --add-types, the types to keep: "person,firm".
    add_types
        ENCODER is a tagger that learns new types and keeps its own: it also learns its own entities in new sentences.
    old_data
        With --add-types, annotated sentences of the tagger's own types to train on again.
    same_types
        With --add-types, types that are both the tagger's and in the new sentences have the same meaning; all new
        sentences are labelled with them.
    """
    from nerbert.config import whole_numbers
    from nerbert.entity_labels import read_type_labels
    from nerbert.errors import SettingsError, need
    from nerbert.finetuning.settings import FinetuneSettings
    from nerbert.render.cards import finish_tagger
    from nerbert.render.terminal import print_taggers
    from nerbert.training.sections import load_settings

    settings = load_settings(FinetuneSettings, config, set_ or [])
    each_seed = whole_numbers("--seeds", seeds)
    need("train", "torch", "transformers")
    from nerbert.finetuning.domains import Domains
    from nerbert.finetuning.finetune import TaggerOutput
    from nerbert.finetuning.finetune import finetune as run
    from nerbert.model.folder import usual_model

    if (old_data or same_types) and not add_types:
        raise SettingsError("--old-data and --same-types are for --add-types; give that, too")
    if source and add_types:
        raise SettingsError(f"--source {source}: a tagger that keeps its types has no source domain; leave it out")
    encoder = encoder or usual_model(read.language)
    texts = read_type_labels(labels, plain=add_types)
    if add_types:
        folders = nerbert.add_types(
            encoder,
            data,
            output,
            settings,
            old=old_data,
            labels=texts,
            same_types=same_types,
            seeds=each_seed,
            reading=read,
            overwrite=overwrite,
        )
    else:
        to = TaggerOutput(output, each_seed, overwrite=overwrite, card=finish_tagger)
        folders = run(encoder, Domains(data, source, texts, reading=read), to, settings)
    print_taggers(folders)


def types(
    tagger: opt.Tagger,
    *,
    output: opt.Output,
    rename: opt.Repeated = None,
    merge: opt.Repeated = None,
    drop: opt.Repeated = None,
    overwrite: opt.Overwrite = False,
) -> None:
    """Rename, merge or drop types of a tagger without training; the result is a copy of the tagger.

    A merged type is as probable as its parts together; a dropped type is not found. A tagger with labels at run time
    looks for a merged type by the labels of all parts, and not for a dropped one. Types compete for words, so entities
    of kept types may change a little: `nerbert calibrate` recalibrates confidences. Thresholds are kept; scores of
    merged or fewer types are not, since they were measured on other types.

    Parameters
    ----------
    output
        Folder to make: the copy.
    rename
        OLD=NEW; may be given several times.
    merge
        OLD,OLD=NEW: the old types become one. May be given several times.
    drop
        OLD, or OLD,OLD; may be given several times.
    """
    from nerbert.render.terminal import print_types
    from nerbert.tagger.retype import TypeChanges

    changes = TypeChanges.parse(rename or [], merge or [], drop or [])
    print_types(nerbert.rename_types(tagger, output, changes, overwrite=overwrite), output)


def calibrate(
    tagger: str,
    data: Path,
    *,
    precision: float | None = None,
    dry_run: opt.Flag = False,
    read: opt.Read = opt.READ,
    head: opt.Head = "",
) -> None:
    """Calibrate a tagger's confidences on annotated sentences that it wasn't trained on; its spans don't change.

    A tagger that takes labels at run time also gets the threshold with the best F1 there as its new default. `nerbert
    finetune` does this if the data have a dev split.

    Parameters
    ----------
    tagger
        Tagger's folder, or a folder of several seeds.
    data
        Annotated file, or a data folder: its dev split. Thirty sentences are enough for the confidences.
    precision
        Precision to reach, for example 0.9: each type gets the lowest confidence that reaches it as threshold, and
        entities below are left out from then on. Default: all entities are kept.
    dry_run
        Print the result without writing it.
    """
    from nerbert.render.terminal import print_calibrations

    taggers = nerbert.calibrate(tagger, data, precision=precision, head=head, reading=read, dry_run=dry_run)
    print_calibrations(taggers, data, dry_run=dry_run)


def evaluate(
    tagger: str, file: Path, *, scored: opt.Score = opt.SCORED, json: opt.Json = False, read: opt.Read = opt.READ
) -> None:
    """Score a tagger on annotated data: precision, recall and F1 by type and over all, errors, interval, calibration.

    The output of `nerbert tag` with the same options is scored; a line shows back end, decoding and thresholds.

    Parameters
    ----------
    tagger
        Tagger's folder, or a folder of several seeds; or a file with predictions in any format, for the gold texts in
        the same order.
    file
        Gold file, or a data folder: its test split. In a file of open types each passage is tagged with its own types.
    """
    from nerbert.errors import SettingsError
    from nerbert.evaluation.evaluate import evaluate as run
    from nerbert.evaluation.evaluate import evaluate_open, has_asked_types
    from nerbert.render.terminal import print_evaluation, print_open_evaluation

    options = scored.arguments()
    if not has_asked_types(file):
        print_evaluation(run(tagger, file, reading=read, **options), as_json=json)
        return
    if train := options.pop("train"):
        raise SettingsError(f"--train {train}: {file} is of open types, for which seen entities aren't separated")
    print_open_evaluation(evaluate_open(tagger, file, **options), as_json=json)


def report(
    tagger: str,
    file: Path,
    *,
    output: opt.Output,
    against: str = "",
    scored: opt.Score = opt.SCORED,
    overwrite: opt.ReplaceFile = False,
    read: opt.Read = opt.READ,
) -> None:
    """Write a page about a tagger on annotated data: scores, errors in context, calibration, thresholds.

    The page is one HTML file without external resources, to share with others. The scores are those of `nerbert
    evaluate` with the same options.

    Parameters
    ----------
    tagger
        Tagger's folder or hub name (one of several seeds); or a file of predictions, as for `nerbert evaluate`.
    file
        Gold file, or a data folder: its test split.
    output
        HTML file to write.
    against
        A second tagger to compare with: the difference of F1 with its interval, and the entities that the first one
        fixes and breaks. The options apply to both.
    """
    from nerbert.artifacts import check_free
    from nerbert.errors import SettingsError
    from nerbert.evaluation.evaluate import has_asked_types
    from nerbert.evaluation.report.report import make_report
    from nerbert.render.report import write_report

    check_free(output, overwrite=overwrite, file=True)
    options = scored.arguments()
    if has_asked_types(file):
        raise SettingsError(f"{file}: is of open types, each passage with its own; `nerbert evaluate` scores it")
    words = [*(["--against", against] if against else []), *opt.words_of(scored), *opt.words_of(read)]
    command = shlex.join(["nerbert", "report", tagger, str(file), *words, "-o", str(output)])
    write_report(make_report(tagger, file, against=against or None, reading=read, command=command, **options), output)
    print(output)


def show(model: str, *, json: opt.Json = False) -> None:
    """Show a tagger's or encoder's types, thresholds, temperature, exports and origin.

    Only the folder's small files are read, without torch. A model on the hub is downloaded first.

    Parameters
    ----------
    model
        Model's folder or hub name, or a folder of several seeds; `embedded` and `embedded-open` are in the package.
    json
        Print JSON, with everything in `nerbert.json`.
    """
    from nerbert.render.terminal import print_summaries
    from nerbert.tagger.summary import summarise

    print_summaries(summarise(model), as_json=json)


def check(
    tagger: str,
    *,
    renew: opt.Flag = False,
    backend: str = "auto",
    precision: str = "auto",
    device: str = "",
    threads: int = 0,
    head: opt.Head = "",
    json: opt.Json = False,
) -> None:
    """Compare a tagger's predictions on 20 short texts with those in its folder (check.json); exit code 1 if different.

    `nerbert finetune` writes them. They are also compared when other versions of its libraries load the tagger.

    Parameters
    ----------
    tagger
        Tagger's folder or hub name, or a folder of several seeds.
    renew
        Write new predictions into the folder first, by torch in fp32: for a tagger without any, or a changed one.
    backend
        torch, onnx or auto, as in `nerbert tag`.
    precision
        bf16, fp32, int8 or auto. Lower precision has a higher tolerance.
    device
        Torch's name of a device; default: the GPU if there is one.
    threads
        CPU threads; 0 lets the back end choose.
    """
    from nerbert.render.terminal import print_checks
    from nerbert.tagger.self_check import check as run

    done = run(tagger, renew=renew, head=head, backend=backend, precision=precision, device=device, threads=threads)
    print_checks(done, as_json=json)
    if any(checked.differences for checked in done):
        sys.exit(1)


def export(
    tagger: opt.Tagger,
    *,
    onnx: opt.Flag = True,
    int8: opt.Flag = False,
    output: opt.OptionalOutput = None,
    data: Path | None = None,
    max_loss: float = 1.0,
    read: opt.Read = opt.READ,
    head: opt.Head = "",
    overwrite: opt.Overwrite = False,
) -> None:
    """Export a tagger to ONNX, for onnxruntime: faster on a CPU, without torch.

    Parameters
    ----------
    onnx
        The format; the only one so far.
    int8
        Also export int8 weights: several times faster, a little less accurate.
    output
        Folder to make, with everything except torch's weights; default: `onnx/` in the tagger's folder.
    data
        Gold file, or a data folder (its test split): compare F1, entities and confidences with torch's. Labels at run
        time are the data's types. Default: the sentences that the tagger was distilled from, if any.
    max_loss
        Maximum loss of F1 by int8 on the data, in points. If int8 loses more, or if its confidences differ by more than
        0.05 on average, nothing is written and the exit status is 1.
    overwrite
        Replace an earlier export.
    """
    from nerbert.render.terminal import print_export
    from nerbert.tagger.export import export as run

    print_export(
        run(
            tagger, int8=int8, output=output, data=data, max_loss=max_loss, overwrite=overwrite, reading=read, head=head
        )
    )
