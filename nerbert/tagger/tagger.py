"""A tagger: text in, entities with exact offsets and confidences out.

Sentences of many texts go through the model together. Another process loads the tagger from its folder again.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nerbert.entity_labels import as_learnt
from nerbert.errors import InputError, NerbertError, bad_path, few, nearest, refused
from nerbert.formats.lines import without_surrogates
from nerbert.hub import push_folder
from nerbert.locks import ThreadLock
from nerbert.metrics.calibration import UNSCALED, Scaling, scaling_of
from nerbert.model.folder import FILES, SIGNS, ModelFolder, read_card, seed_folders
from nerbert.model.head_kinds import LONGEST, HeadOptions, head_kind
from nerbert.model.heads import NEEDS_LABELS, Head, WordTags
from nerbert.model.loading import Loading
from nerbert.process import in_worker
from nerbert.records import EntityLabel, Example
from nerbert.sentences import splitter_for
from nerbert.tagger import hub, pending
from nerbert.tagger.hub import Origin, weights_of
from nerbert.tagger.self_check_answers import check_loaded
from nerbert.tagger.spans import Spans, check_offsets
from nerbert.tagger.thresholds import Answering, answering_of, thresholds_of, usual_threshold
from nerbert.terminal import tell
from nerbert.words import check_splitter, split_words

_tell_once = cache(tell)
_CELL = re.compile(r"[^\t]+\t?|\t")
_KEPT = 16
"""Maximum lists of labels whose heads are kept; taggers on the same model share them."""


class Tagger:
    """A fine-tuned model with its tokenizer and word splitter; make one with `Tagger.load`.

    It can be pickled, for worker processes on the same machine: they load it again from its folder, with the same
    options. There it uses one thread, unless `threads` is given.
    """

    origin: Origin | None = None
    labels: tuple[EntityLabel, ...] = ()
    """The labels to find, if given (`with_labels`)."""
    _chosen: float | Mapping[str, float] | None = None
    """The user's thresholds; those of labels apply once labels are given."""

    def __init__(
        self,
        head: Head,
        splitter: str,
        language: str,
        *,
        scaling: Scaling = UNSCALED,
        thresholds: Mapping[str, float] | None = None,
        offsets: str = "characters",
    ) -> None:
        self.head, self.splitter, self.language = head, splitter, language
        self.offsets = check_offsets(offsets)
        self.scaling = scaling
        self.thresholds = thresholds or {}
        self.card: Mapping[str, Any] = {}
        self._heads = lru_cache(_KEPT)(pending.KeptHead)
        self._lock = ThreadLock()

    @classmethod
    @refused(bad_path)
    def load(
        cls,
        source: str | Path,
        *,
        backend: str = "auto",
        precision: str = "auto",
        device: str = "",
        threads: int = 0,
        decoding: str = "",
        on_too_long: str = "",
        thresholds: float | Mapping[str, float] | None = None,
        offsets: str = "characters",
        head: str = "",
    ) -> "Tagger":
        """Load a tagger from a folder or a hub name.

        `backend` is `torch`, `onnx` (after `nerbert export`) or `auto`: torch on a GPU if there is one, else the
        exported model (int8 before fp32), else torch. `precision` is `bf16`, `fp32`, `int8` or `auto`: the best of
        the back end. `device` is torch's (default: the GPU if there is one), `threads` those of a CPU (0: the back
        end's own choice; torch has one number for the whole process).

        `decoding` is `legal` (the best path of BIO tags; default for taggers of nerbert's) or `greedy` (the most
        probable tag of each word; default for others). Taggers that take labels at run time use thresholds, by default
        that of their card (`nerbert show`), else 0.5: `flat` (default) gives entities that don't overlap; `nested`, for
        models of spans, also entities inside others; `touching`, for models of single words, joins neighbours with the
        same label across any single character, as NuNER Zero does. `on_too_long` is for sentences longer
        than the model's window: `window` (overlapping windows), `error` or `truncate`; default: as in training.
        Entities with a confidence below `thresholds` (0–1; one for all types, or by type, the rest from the tagger's
        card) are left out. `offsets` is the unit of `start` and `end`: `characters` (code points), `utf-16`, `bytes`.

        `head` is for a tagger with a head of your own: `module:Class`, which is imported. A folder can't choose this
        itself, since it may come from somebody else.
        """
        if seeds := seed_folders(str(source)):
            raise InputError(f"{source}: holds a tagger for each seed; name one of them, say {seeds[0]}")
        folder = ModelFolder.open(source, "tagger").check()
        weights = weights_of(folder)
        card = folder.card
        loading = Loading(decoding, on_too_long, backend, precision, device, threads, head)
        settings = HeadOptions(
            decoding or str(card.get("decoding") or ""),
            on_too_long or str(card.get("on_too_long") or "window"),
            backend,
            precision,
            device,
            threads,
            head,
            int(card.get("max_length") or LONGEST),
            int(card.get("window_length") or 0),
        )
        opened = head_kind(folder, head).open(folder, settings)
        default = usual_threshold(opened, card)
        bounds = thresholds_of(thresholds, card.get("thresholds"), opened.types, default) if opened.types else {}
        splitter = check_splitter(card["word_splitter"])
        language = str(card.get("language") or "en")
        tagger = cls(opened, splitter, language, thresholds=bounds, offsets=offsets)
        tagger._chosen = thresholds
        tagger.scaling = scaling_of(card)
        tagger.origin = Origin(os.path.abspath(folder.name), loading, weights)  # noqa: PTH100  (links stay)
        tagger.card = card
        check_loaded(tagger, folder.path)
        return tagger

    @classmethod
    @refused(bad_path)
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
        **options: Any,
    ) -> "Tagger":
        """Load a tagger as `load` does, with huggingface_hub's options for one on the hub; `options` are `load`'s.

        `revision` is a branch, a tag or a commit; `local_files_only` uses only earlier downloads. Pickled weights
        are downloaded only for GLiNER folders without other weights.
        """
        folder = ModelFolder.open(
            pretrained_model_name_or_path,
            "tagger",
            force_download=force_download,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            revision=revision,
        )
        return cls.load(folder.name, **options)

    @refused(bad_path)
    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        repo_id: str = "",
        push_to_hub: bool = False,
        overwrite: bool = False,
        **push_options: Any,
    ) -> str | None:
        """Write the tagger to a new folder, whole or not at all; with `push_to_hub` push it too.

        It is a copy of the folder it was loaded from, with the tagger's current `scaling` (of confidences) and
        `thresholds`. Its back end, decoding and offsets are not saved. `overwrite` replaces another tagger. `repo_id`
        (default: the folder's name) and `push_options` are as in `push_to_hub`, whose result is returned.
        """
        hub.write_folder(Path(self._origin().folder), Path(save_directory), self._card(), overwrite=overwrite)
        return self.push_to_hub(repo_id or Path(save_directory).name, **push_options) if push_to_hub else None

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str = "Upload tagger",
        private: bool | None = None,
        token: str | None = None,
        branch: str | None = None,
        create_pr: bool | None = None,
    ) -> str:
        """Upload the files of `save_pretrained` to the hub, as one commit, and return the commit's address.

        A missing repository is created, `private` or not. Its older weights and exported models are deleted.
        """
        with TemporaryDirectory(prefix="nerbert-") as scratch:
            folder = Path(scratch) / "tagger"
            hub.write_folder(Path(self._origin().folder), folder, self._card(), overwrite=False)
            return push_folder(
                folder,
                repo_id,
                commit_message=commit_message,
                private=private,
                token=token,
                branch=branch,
                create_pr=create_pr,
                delete_patterns=[*FILES["stale"]],
            )

    def _card(self) -> dict[str, Any]:
        """Return the folder's card with later changes."""
        card = read_card(self._origin().folder)
        if self.scaling != scaling_of(card):
            card["calibration"] = self.scaling._asdict()
        stored = card.get("thresholds") or {}
        kept = stored if self.labels or not self.types else {}  # of types that are not requested now
        if {**kept, **self.thresholds} != thresholds_of(None, stored, self.types, self.usual_threshold):
            card["thresholds"] = {**kept, **self.thresholds}
        return card

    def _origin(self) -> Origin:
        if self.origin is None:
            raise InputError("a tagger that was not loaded from a folder can't be saved, pushed or pickled")
        if not Path(self.origin.folder).is_dir():
            raise InputError(f"{self.origin.folder}: is gone, so the tagger can't be saved, pushed or pickled")
        return self.origin

    def __reduce__(self) -> tuple[Any, ...]:
        state = (self.scaling, dict(self.thresholds), self._chosen, self.offsets, self.labels)
        return _load_again, (type(self), self._origin(), *state)

    def __copy__(self) -> "Tagger":
        """Return a tagger on the same model, which `__reduce__` would load again."""
        tagger = object.__new__(type(self))
        vars(tagger).update(vars(self))
        return tagger

    @cached_property
    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits of the SHA-256 of the loaded files; "" for a tagger without a folder."""
        return ModelFolder(self.origin.folder).fingerprint if self.origin else ""

    @property
    def types(self) -> list[str]:
        """Return the entity types that this tagger knows, sorted."""
        return sorted({label.name for label in self.labels}) or self.head.types

    @property
    def usual_threshold(self) -> float:
        """Return the lowest confidence (0–1) of types without their own threshold, as fitted in training."""
        return usual_threshold(self.head, self.card)

    @property
    def decoding(self) -> str:
        """Return the method by which its head chooses tags."""
        return self.head.decoding

    @property
    def answering(self) -> Answering:
        """Return the settings of its answers: back end, decoding, scaling, thresholds."""
        return answering_of(self.head, self.scaling, self.thresholds, self.types)

    def __repr__(self) -> str:
        facts = f"types {few(self.types)}; {self.answering}" if self.types else f"labels at run time; {self.head.name}"
        return f"<Tagger {self.origin.folder if self.origin else 'of no folder'}: {facts}>"

    def for_self_check(self, decoding: str) -> "Tagger":
        """Return the tagger for its self-check: without thresholds; long sentences go through windows."""
        bare = type(self)(self.head.for_self_check(decoding), self.splitter, self.language)
        bare.scaling = self.scaling
        bare.card = {SIGNS: True}
        return bare

    def with_labels(self, labels: Iterable[str | EntityLabel]) -> "Tagger":
        """Return a tagger that finds only these labels, on the same model; each is `name` or `name: description`.

        A tagger with fixed types finds only those named. Thresholds given for other labels are ignored; values set
        in `thresholds` later take precedence. Raise InputError for a label that the model can't find, for no labels,
        and for repeated ones. The threshold of a label that seems misspelt is told.
        """
        tagger = self._copy_with_labels(as_learnt(labels, self.card))
        tagger.head = tagger._head_for(tagger.thresholds)
        return tagger

    def with_default_labels(self) -> "Tagger":
        """Return a tagger that finds the types it was fine-tuned on, if it takes labels at run time; else itself."""
        labels = self._learnt_labels
        return self.with_labels(dict.fromkeys(label.name for label in labels)) if labels else self

    def for_labels(self, labels: Sequence[str | EntityLabel] | None) -> "Tagger":
        """Return a tagger that finds these labels, as `with_labels`; without any, as `with_default_labels`."""
        return self.with_labels(labels) if labels else self.with_default_labels()

    @property
    def _learnt_labels(self) -> tuple[EntityLabel, ...]:
        """Return the types that it was fine-tuned on, if it takes labels at run time."""
        learnt = () if self.types else self.card.get("types") or ()
        return as_learnt(learnt, self.card) if learnt else ()

    @property
    def finds_signs(self) -> bool:
        """Return whether its entities may lack letters and digits, as some in its training data did."""
        return bool(self.card.get(SIGNS))

    @property
    def lowest_threshold(self) -> float:
        """Return the confidence that no entity is below, whatever its label; 0 without thresholds."""
        bounds = list(self.thresholds.values())
        if not self.head.types:
            given = self._chosen if isinstance(self._chosen, Mapping) else {}
            bounds += [*given.values(), *self._copy_with_labels(as_learnt(["name"], self.card)).thresholds.values()]
        return min(bounds, default=0.0)

    def _copy_with_labels(self, labels: tuple[EntityLabel, ...]) -> "Tagger":
        """Return a tagger with these labels and their thresholds, and without their head."""
        tagger = copy(self)
        names = [label.name for label in labels]
        chosen = self._chosen
        if isinstance(chosen, Mapping):  # those of other labels wait for them
            others = chosen.keys() - {"", *names}
            for name in sorted(others):
                if near := nearest(name, {*names} - chosen.keys()):
                    _tell_once(f"note: the threshold of {name!r} isn't used for {few(names)}{near}")
            chosen = {name: bound for name, bound in chosen.items() if name not in others}
        bounds = thresholds_of(chosen, self.card.get("thresholds"), names, self.usual_threshold)
        tagger.thresholds = {name: self.thresholds.get(name, bounds[name]) for name in names}
        tagger.labels = labels
        return tagger

    def _head_for(self, thresholds: Mapping[str, float]) -> Head:
        """Return the head that finds the tagger's labels, if any, at thresholds and the current scaling."""
        if not self.labels:
            return self.head
        least = tuple(self.scaling.undo(thresholds.get(label.name, 0.0)) for label in self.labels)
        with self._lock:  # else two threads may make a head each
            kept = self._heads(self.labels)
        return kept.at_least(self.head, least)

    def _finder_of(
        self,
        labels: Iterable[str | EntityLabel] | None,
        thresholds: float | Mapping[str, float] | None = None,
        finders: dict[object, pending.EntityFinder | NerbertError] | None = None,
        decoding: str = "",
    ) -> pending.EntityFinder:
        """Return the finder, from `finders` if it was made before, or raise its error; None or "": the tagger's own."""
        asked = self._learnt_labels if labels is None else as_learnt(labels, self.card)
        tagger = self._copy_with_labels(asked) if asked else self
        if not tagger.types:
            raise InputError(NEEDS_LABELS)
        bounds = tagger.thresholds if thresholds is None else thresholds_of(thresholds, tagger.thresholds, tagger.types)
        finders = {} if finders is None else finders
        key = (asked, decoding, *bounds.items())
        if key not in finders:
            try:
                head = tagger._head_for(bounds)
                head = head.decode_by(decoding or head.decoding)
                finders[key] = pending.EntityFinder(head, bounds, tagger.scaling, self.finds_signs)
            except NerbertError as error:
                finders[key] = error
        if isinstance(finder := finders[key], NerbertError):
            raise finder
        return finder

    def tag(self, text: str, labels: Iterable[str | EntityLabel] | None = None) -> Spans:
        """Return the entities of `text`, in order: `text[span.start:span.end] == span.text`.

        `labels` are as in `with_labels`; by default, the types that the tagger was trained on. Notebooks show the list;
        it converts to pandas and displaCy.
        """
        return next(self.tag_many([text], labels))

    def tag_many(
        self, texts: Iterable[str | Example], labels: Iterable[str | EntityLabel] | None = None
    ) -> Iterator[Spans]:
        """Yield the entities of each text, in order; read and hold a few thousand words (or one text) at a time.

        An example is one sentence, and keeps its own words. `labels` are as in `tag`.
        """
        finder = self._finder_of(labels)
        opened = (pending.PendingText(_check_text(text), finder) for text in check_list(texts))
        return (text.answer(self.offsets) for text in pending.tag_in_order(opened, self._cut))

    def tag_batch(self, requests: Iterable[pending.TagRequest]) -> list[Spans | NerbertError | None]:
        """Return the answer to each request; all go through the model together, whatever their labels.

        An answer is the result of `tag` for that text alone: spans, or the error that it would raise. A request
        that was cancelled before it went into the model has None. Any number of threads may call it at once.
        """
        finders = dict[object, pending.EntityFinder | NerbertError]()
        texts = pending.tag_in_order((self._open_request(request, finders) for request in requests), self._cut)
        return [text.error or (None if text.dropped else text.answer(self.offsets)) for text in texts]

    def _open_request(
        self, request: pending.TagRequest, finders: dict[object, pending.EntityFinder | NerbertError]
    ) -> pending.PendingText:
        try:
            text = pending.PendingText(_check_text(request.text), cancelled=request.cancelled)
            if text.check_cancelled():
                text.finder = self._finder_of(request.labels, request.thresholds, finders, request.decoding)
        except NerbertError as error:
            text = pending.PendingText("", error=error)
        return text

    def cost(self, text: str | Example, labels: Iterable[str | EntityLabel] | None = None) -> int:
        """Return the number of subwords that the model would read to tag a text, in windows and with labels' prompts.

        `labels` are as in `tag`. The input of a label encoder, read once for all texts, doesn't count. Raise InputError
        for labels that leave no room for a text.
        """
        asked = self.labels or self._learnt_labels if labels is None else as_learnt(labels, self.card)
        return self.head.cost([example for _, example in self._cut(pending.PendingText(_check_text(text)))], asked)

    def tag_examples(self, examples: Sequence[Example]) -> list[WordTags]:
        """Return a tag and its probability for each word of each example; the examples keep their own words.

        The tags are those of the entities that `tag` gives. Without thresholds they are the head's own, unchanged.
        """
        head = self._head_for(self.thresholds)
        examples = list(map(pending.clean_example, examples))
        if not any(self.thresholds.values()):
            answers = head.tag(examples, self.scaling)
        else:
            entities = head.predict(examples).at_least(self.thresholds, self.scaling)
            answers = entities.word_tags(examples, self.scaling)
        return answers if self.finds_signs else list(map(pending.shown_tags, examples, answers))

    def sentences(self, text: str) -> Iterator[tuple[int, Example]]:
        """Yield (offset of the first character, sentence) for each sentence of a text, as words without entities.

        A line's end and a tab end a sentence.
        """
        offset = 0
        splitter = splitter_for(self.language, text)
        for cell in (cell for line in text.splitlines(keepends=True) for cell in _CELL.findall(line)):
            clean = without_surrogates(cell)
            for start, end in splitter.spans(clean):
                if words := split_words(clean[start:end], self.splitter):
                    yield offset + start, Example(clean[start:end], words)
            offset += len(cell)

    def _cut(self, text: pending.PendingText) -> Iterable[tuple[int, Example]]:
        """Return the units for the model: sentences, or as many of them as the head reads at once."""
        if isinstance(text.content, Example):
            return [(0, pending.clean_example(text.content))]
        return pending.join_sentences(text.text, self.sentences(text.text), self.head.longest_text)

    @property
    def known_language(self) -> str:
        """Return the code of the language that its card names; "" where `language` is a default."""
        return str(self.card.get("language") or "")


def _load_again(
    tagger_class: type[Tagger],
    origin: Origin,
    scaling: Scaling,
    thresholds: Mapping[str, float],
    chosen: float | Mapping[str, float] | None,
    offsets: str,
    labels: tuple[EntityLabel, ...],
) -> Tagger:
    """Return a tagger that was pickled; raise InputError if its folder holds other weights now."""
    if weights_of(ModelFolder(origin.folder)) != origin.weights:
        raise InputError(f"{origin.folder}: is gone, or holds other weights than when the tagger was loaded")
    loading = origin.loading
    if in_worker():
        loading = replace(loading, threads=loading.threads or 1)
    tagger = tagger_class.load(origin.folder, **vars(loading), offsets=offsets)
    tagger.scaling, tagger._chosen = scaling, chosen
    tagger = tagger.with_labels(labels) if labels else tagger
    tagger.thresholds = {**tagger.thresholds, **thresholds}  # with the names' own objects, so a pickle stays the same
    return tagger


def check_list(texts: Iterable[str | Example]) -> Iterable[str | Example]:
    """Return texts; raise InputError for a string, which is iterable, too: each letter would be a text."""
    if isinstance(texts, str):
        raise InputError("can't tag a str letter by letter: give a list of texts, or use `tag`")
    return texts


def _check_text(text: object) -> str | Example:
    if not isinstance(text, str | Example):
        hint = "" if isinstance(text, bytes) or not isinstance(text, Iterable) else "; `tag_many` takes several texts"
        raise InputError(f"can't tag {type(text).__name__}: give a str{hint}")
    return text
