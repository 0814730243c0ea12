"""Pre-training in stages, as CoFEE's. Limitation: a deleted stage is made again, those that begin with it are not."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from nerbert.artifacts import finish, write_json
from nerbert.config import merge_values, parse_changes, read_toml
from nerbert.data.splits import data_sum
from nerbert.encoder.corpus_labels import link_types
from nerbert.encoder.data import PretrainSources, files_read
from nerbert.encoder.pretrain import EncoderFacts, compared_settings, pretrain
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import SettingsError, StaleOutput, at, refused, unknown
from nerbert.executors import Executor
from nerbert.schema import difference, read_json, to_plain
from nerbert.terminal import tell
from nerbert.training.checkpoint import TrainLog
from nerbert.training.distributed import make_process_group
from nerbert.training.objective import OBJECTIVES, PRETRAIN
from nerbert.training.sections import chosen_objective, find_section, make_settings

_STAGES, _FILE = "stages", "stage.json"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
Card = Callable[[Path, EncoderFacts], None]


@dataclass(frozen=True, slots=True)
class PretrainStage:
    """A stage: its settings, the folder of its encoder, and all that it is made from, as JSON."""

    name: str
    settings: PretrainSettings
    folder: Path
    made_from: dict[str, Any]

    @property
    def done(self) -> bool:
        """Whether its encoder is there; raise StaleOutput for one that was made from something else."""
        if not (self.folder / _FILE).is_file():
            return False
        other = difference(read_json(self.folder / _FILE, dict), self.made_from)
        if other:
            raise StaleOutput(
                f"{self.folder}: made already, but from something else ({other}); run as before, pass "
                "--overwrite, or choose another output"
            )
        return True


def read_stages(path: Path, changes: Sequence[str], output: Path) -> list[PretrainStage]:
    """Return the stages of a settings file whose encoders go below `output`; [] if it has none.

    `changes` are `key=value`, for all stages, or `STAGE.key=value`, for one; a key of a section is `SECTION.key`. A
    section for all stages is read by those whose objective has it. Raise SettingsError for anything amiss in any stage,
    and InputError for a missing file.
    """
    common = read_toml(path)
    if _STAGES not in common:
        return []
    tables = common.pop(_STAGES)
    overrides = parse_changes(changes)
    names = _read_names(tables)
    of_all = {key: value for key, value in overrides.items() if not key.startswith(tuple(f"{name}." for name in names))}
    stages = list[PretrainStage]()
    read = set[str]()
    before = dict[str, str]()
    for name, table in zip(names, tables, strict=True):
        of_stage = {key.partition(".")[2]: value for key, value in overrides.items() if key.startswith(f"{name}.")}
        with at(part=f"stage {name}"):
            layers = (before, {key: table[key] for key in table if key != "name"}, of_all, of_stage)
            # Later layers win: the file's common part, the stage before, the stage's table,
            # then what was given on the command line for all and for this stage.
            values = reduce(merge_values, layers, common)
            setting = {"objective": values.get("objective", PretrainSettings().objective)}
            objective = OBJECTIVES.find(make_settings(PretrainSettings, setting).objective)
            sections = {objective.settings.section, *objective.traits.sources} - {""}
            _check_names(names, sections)
            mine = {*sections, *table, *(key.partition(".")[0] for key in of_stage)}
            values = {key: value for key, value in values.items() if key in mine or not isinstance(value, Mapping)}
            settings = make_settings(PretrainSettings, values)
            # Opened for its errors: a setting that stage 3 can't use is told before stage 1
            # trains for days.
            OBJECTIVES.find(settings.objective).data(PretrainSources(settings))
            made_from = _made_from(settings, stages[-1] if settings.backbone == before.get("backbone") else None)
        stages.append(PretrainStage(name, settings, output / name, made_from))
        read |= sections
        before = {"backbone": str(output / name)}
        # A backbone given for all stages is that of the first: later ones would throw
        # away what was learnt.
        of_all.pop("backbone", None)
    _check_read(common, of_all, read, names)
    return stages


def _check_names(names: Sequence[str], sections: set[str]) -> None:
    """Raise SettingsError for a stage with the name of a section: `NAME.key` could mean both."""
    if both := next((name for name in names if name in sections or find_section(name)), ""):
        raise SettingsError(f"stages: name = {both!r}: is a section of settings; use another name", setting=_STAGES)


def _check_read(common: Mapping[str, Any], of_all: Mapping[str, Any], read: set[str], names: Sequence[str]) -> None:
    """Raise SettingsError for a section for all stages that none of them has, or a dotted name of neither."""
    tables = {key for key, value in common.items() if isinstance(value, Mapping)}
    dotted = {key.partition(".")[0] for key, value in of_all.items() if "." in key or isinstance(value, Mapping)}
    for name in sorted((tables | dotted) - read):
        if name in names:
            raise SettingsError(f"setting {name}: is a stage: write {name}.KEY=… after --set, or its [[stages]] table")
        if find_section(name):
            raise SettingsError(f"setting {name}: no stage has an objective that reads this section", setting=name)
        raise SettingsError(f"setting {name!r}: neither a stage nor a section{unknown(name, [*names, *sorted(read)])}")


def pretrain_stages(
    stages: Sequence[PretrainStage],
    *,
    overwrite: bool = False,
    card: Card | None = None,
    executor: Executor | None = None,
) -> Iterator[tuple[PretrainStage, TrainLog]]:
    """Make the encoders of the stages that aren't done; yield each one with its log. `card` writes model cards.

    What later stages need is checked before the first one begins: raise InputError for a list that can't be read, and
    MissingExtra for a missing library.
    """
    missing = [stage for stage in stages if overwrite or not stage.done]
    for stage in missing:
        with at(part=f"stage {stage.name}"):
            chosen_objective(stage.settings, PRETRAIN)
            if open_lists := link_types(stage.settings):
                open_lists()
    processes = make_process_group(stages[0].settings)
    for stage in stages:
        if processes.is_first:
            tell(f"stage {stage.name}: {'pre-training' if stage in missing else 'done before'}")
            # What a run left that was killed in its last steps is put right first.
            finish(stage.folder)
        if stage in missing:

            def write(folder: Path, facts: EncoderFacts, stage: PretrainStage = stage) -> None:
                # `stage` is bound as a default: the loop's variable changes before the hook is called.
                write_json(folder / _FILE, stage.made_from)
                if card:
                    card(folder, facts)

            yield (
                stage,
                pretrain(
                    stage.settings,
                    stage.folder,
                    overwrite=overwrite,
                    card=write,
                    processes=processes,
                    executor=executor,
                ),
            )
    processes.end()


def _read_names(tables: Any) -> list[str]:
    if not isinstance(tables, list) or not tables or not all(isinstance(table, Mapping) for table in tables):
        raise SettingsError("stages: must be tables, each under a line [[stages]]", setting=_STAGES)
    names = [table.get("name") for table in tables]
    for index, name in enumerate(names):
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in names[:index]:
            raise SettingsError(
                f"stages: name = {name!r:.80}: must be unique, of letters, digits, - and _: it is a folder",
                setting=_STAGES,
            )
    return names


def _made_from(settings: PretrainSettings, before: PretrainStage | None) -> dict[str, Any]:
    """Return all that decides a stage's encoder, by content; files are numbered, since their order counts."""
    files = files_read(settings)
    if (label_set := Path(settings.label_set)).is_file():
        files.append(label_set)
    sums = {}
    # Two files may have one name, and their order decides which entry counts.
    for number, path in enumerate(files, 1):
        with refused(f"{path}: can't be read", of=OSError, remedy="name a file"):
            sums[f"{number} {path.name}"] = data_sum(path)
    start = {"before": before.made_from} if before else {"backbone": settings.backbone}
    return dict(
        to_plain({"settings": compared_settings(settings), "label_set": settings.label_set, "files": sums} | start)
    )
