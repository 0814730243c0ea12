"""Registries: the entries of each extension point, by name.

A built-in entry is written as `module:name` and imported when it is first used. A user's entry is registered by code
(`register`), or named in a setting as `module:name`; only the second form works in worker processes, which import the
module themselves. A registry is also the annotation of the setting that chooses from it: `objective: Annotated[str,
OBJECTIVES]`. The extension points are at the end of this file.
"""

import re
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from nerbert.errors import NerbertError, SettingsError, missing_extra, unknown

if TYPE_CHECKING:
    from nerbert.config import Section
    from nerbert.corpus.settings import CorpusSettings
    from nerbert.corpus.steps import AnyStep
    from nerbert.executors import Executor
    from nerbert.formats.format import Format
    from nerbert.model.folder import ModelKind
    from nerbert.serve.protocol import Protocol
    from nerbert.tagger.backends import HeadKind
    from nerbert.training.objective import Objective

Kind = TypeVar("Kind")
_OWN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class Registry(Generic[Kind]):
    """The entries of a `kind` (a noun, for messages); `built_in` maps names to `module:name`.

    With a `base`, also written so, what is imported must be a subclass of it.
    """

    def __init__(self, kind: str, built_in: dict[str, str], base: str = "") -> None:
        self._kind, self._known, self._base = kind, dict[str, str | Kind](built_in), base

    def __str__(self) -> str:
        names = ", ".join(map(repr, self._known))
        return f"one of {names}, or your own as module:name" if names else "your own, as module:name"

    def __iter__(self) -> Any:
        """Iterate over the known names, built-in ones first."""
        return iter(list(self._known))

    def register(self, name: str, one: Kind) -> Kind:
        """Add an entry under a new name in this process, and return it; raise SettingsError for a name that isn't
        allowed.
        """
        if name in self._known or ":" in name:
            raise SettingsError(f"{self._kind} {name!r}: the name must be new and hold no colon; there are {self}")
        self._known[name] = one
        return one

    def contains(self, name: str) -> bool:
        """Return whether `name` is known, or has the form `module:name`; nothing is imported."""
        return name in self._known or bool(_OWN.fullmatch(name))

    def find(self, name: str) -> Kind:
        """Return the entry of this name; raise SettingsError if there is none.

        `module:name` is imported, so a name from an untrusted file must be a known one.
        """
        if not self.contains(name):
            raise SettingsError(f"{self._kind} {name!r:.80}{unknown(name, self, allowed=str(self))}")
        one = self._known.get(name, name)
        if not isinstance(one, str):
            return one
        found: Kind = _imported(self._kind, one)
        if self._base and not (isinstance(found, type) and issubclass(found, _imported(self._kind, self._base))):
            raise SettingsError(f"{self._kind} {one!r:.80}: must be a subclass of {self._base.replace(':', '.')}")
        return found


def _imported(kind: str, place: str) -> Any:
    """Return what `module:name` names; raise SettingsError or MissingExtra if it can't be imported."""
    module, _, name = place.partition(":")
    try:
        return getattr(import_module(module), name)
    except NerbertError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and (missing := missing_extra(error)):
            raise missing from error
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        isnt_there = isinstance(error, ModuleNotFoundError | AttributeError)
        remedy = "install its module, or put its folder into PYTHONPATH" if isnt_there else f"importing {module} failed"
        raise SettingsError(f"{kind} {place!r}: {reason:.300}; {remedy}") from error


FORMATS: "Registry[Callable[[], Format]]" = Registry(
    "format",
    {
        "conll": "nerbert.formats.conll:Conll",
        "spacy": "nerbert.formats.spacy:SpacyDocBin",
        "gliner": "nerbert.formats.exports:Gliner",
        "label-studio": "nerbert.formats.label_studio:LabelStudio",
        "prodigy": "nerbert.formats.exports:Prodigy",
        "argilla": "nerbert.formats.exports:Argilla",
        "doccano": "nerbert.formats.exports:Doccano",
        "jsonl": "nerbert.formats.jsonl:JsonLines",
        "brat": "nerbert.formats.brat:Brat",
        "marked": "nerbert.formats.marked:Marked",
        "webanno": "nerbert.formats.webanno:WebAnno",
        "csv": "nerbert.formats.tables:Tables",
        "parquet": "nerbert.formats.columns:Parquet",
        "datasets": "nerbert.formats.columns:Datasets",
    },
)
"""The formats of annotated sentences, in the order in which they are asked whether they recognise a file."""
STEPS: "Registry[Callable[[CorpusSettings], AnyStep]]" = Registry(
    "corpus step",
    {
        "exclude": "nerbert.corpus.filters:ExcludedTexts",
        "no link": "nerbert.corpus.filters:WithoutLink",
        "typing": "nerbert.corpus.mentions:Typing",
        "unknown": "nerbert.corpus.unknown:UnknownStretches",
        "split": "nerbert.corpus.filters:EqualInTrain",
        "filter 1": "nerbert.corpus.filters:RareCategories",
        "filter 2": "nerbert.corpus.filters:OnlyUntyped",
        "filter 3": "nerbert.corpus.filters:CommonCategories",
        "sampling": "nerbert.corpus.filters:Sampling",
    },
)
"""The steps of a corpus; the build makes its own steps, a user's are made as `Class(settings)`."""
EXECUTORS: "Registry[Callable[[int], Executor]]" = Registry(
    "executor", {"local": "nerbert.executors:LocalExecutor", "ray": "nerbert.ray_executor:RayExecutor"}
)
"""Executors: functions from a number of workers to an `Executor`."""
OBJECTIVES: "Registry[type[Objective]]" = Registry(
    "objective",
    {
        "tagging": "nerbert.training.tagging:TokenClassification",
        "mlm": "nerbert.encoder.objectives.mlm:Mlm",
        "concepts": "nerbert.encoder.objectives.concepts:Concepts",
        "names": "nerbert.encoder.objectives.names:Names",
        "self_training": "nerbert.encoder.objectives.self_training:SelfTraining",
        "typing": "nerbert.encoder.objectives.cluster_typing:ClusterTyping",
        "zero_shot": "nerbert.encoder.objectives.zero_shot.zero_shot:ZeroShot",
        "distillation": "nerbert.distillation.objective:Distillation",
        "cdlm": "nerbert.finetuning.cdlm:Cdlm",
    },
)
"""The training objectives."""
SECTIONS: "Registry[type[Section]]" = Registry(
    "section of settings",
    {
        "tagging": "nerbert.training.tagging:TaggingSettings",
        "mlm": "nerbert.encoder.objectives.mlm:MlmSettings",
        "concepts": "nerbert.encoder.objectives.concepts:ConceptsSettings",
        "names": "nerbert.encoder.objectives.names:NamesSettings",
        "self_training": "nerbert.encoder.objectives.self_training:SelfTrainingSettings",
        "typing": "nerbert.encoder.objectives.cluster_typing:TypingSettings",
        "zero_shot": "nerbert.encoder.objectives.zero_shot.zero_shot:ZeroShotSettings",
        "distillation": "nerbert.distillation.objective:DistillationSettings",
        "cdlm": "nerbert.finetuning.cdlm:CdlmSettings",
        "gazetteers": "nerbert.encoder.gazetteers:GazetteersSettings",
        "open_types": "nerbert.encoder.open_texts:OpenTypesSettings",
        "replay": "nerbert.finetuning.replay:ReplaySettings",
    },
)
"""The settings of objectives (by the objective's name) and of sources; a user's objective declares its own."""
HEADS: "Registry[type[HeadKind]]" = Registry(
    "head",
    {
        "linear": "nerbert.tagger.backends:LinearHeadKind",
        "concepts": "nerbert.tagger.concept_backends:ConceptHeadKind",
        "gliner": "nerbert.tagger.gliner_backends:GlinerHeadKind",
        "cdlm": "nerbert.tagger.backends:CdlmHeadKind",
    },
    "nerbert.tagger.backends:HeadKind",
)
"""The heads of taggers: how each is opened, exported and fine-tuned."""
MODEL_KINDS: "Registry[type[ModelKind]]" = Registry(
    "kind of model folder",
    {
        "transformers": "nerbert.model.folder:TransformersKind",
        "concepts": "nerbert.model.folder:ConceptKind",
        "gliner2": "nerbert.model.gliner2.folder:Gliner2Kind",
        "gliner": "nerbert.model.gliner.config:GlinerKind",
        "cdlm": "nerbert.model.cdlm.word_pieces:CdlmKind",
    },
)
"""The kinds of model folder; of several that fit, the last counts."""
PROTOCOLS: "Registry[Protocol]" = Registry(
    "protocol",
    {
        "tag": "nerbert.serve.routes:own_routes",
        "hugging-face": "nerbert.serve.routes:hugging_face_routes",
        "gliner": "nerbert.serve.routes:gliner_routes",
        "presidio": "nerbert.serve.routes:presidio_routes",
        "nemo": "nerbert.serve.routes:nemo_routes",
        "label-studio": "nerbert.serve.routes:label_studio_routes",
        "inception": "nerbert.serve.routes:inception_routes",
        "page": "nerbert.serve.routes:page_routes",
    },
)
"""What a server's clients speak: functions that return operations."""
