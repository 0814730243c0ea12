"""The head kind of GLiNER models, which opens a head in torch or on exported graphs."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nerbert.errors import InputError
from nerbert.model import onnx
from nerbert.model.folder import ModelFolder
from nerbert.model.gliner.folder import gliner_kind, load_gliner
from nerbert.model.gliner.head import MAX_TOKENS, NORMALISED, GlinerHead
from nerbert.model.head_kinds import ExportedHead, ExportTask, HeadKind, HeadOptions
from nerbert.tagger.backends import on_back_end, place_model
from nerbert.tagger.gliner_onnx import OnnxGliner, facts_of, pieces_of

if TYPE_CHECKING:
    from nerbert.model.gliner.layers import GlinerFolder  # loads torch


class GlinerHeadKind(HeadKind):
    """A GLiNER model."""

    labels_at_run_time = True

    @classmethod
    def open(cls, folder: ModelFolder, options: HeadOptions) -> GlinerHead:
        """Return the head on the requested back end; raise InputError (truncation) or MissingExtra without it."""
        if options.on_too_long != "window":
            raise InputError(
                f"{folder}: a GLiNER model reads long texts in windows that overlap; on_too_long = "
                f"{options.on_too_long!r:.40} is not supported"
            )
        return on_back_end(folder, options, partial(_on_onnx, folder), _on_torch)

    @classmethod
    def export(cls, task: ExportTask) -> ExportedHead:
        """Write the graphs of texts, labels and scores."""
        from nerbert.tagger.gliner_export import export_gliner

        loaded = load_gliner(Path(task.source))
        head = _on_torch(task.source, HeadOptions(precision="fp32", device="cpu"), loaded)
        return export_gliner(task, loaded, head, partial(_on_onnx, ModelFolder(task.source)))


def _on_onnx(folder: ModelFolder, exported: onnx.Exported, precision: str, options: HeadOptions) -> GlinerHead:
    """Return the head on exported graphs; raise InputError for graphs of another model."""
    folder_kind = gliner_kind(folder)
    config = folder_kind.read(folder.path)
    facts, config = facts_of(exported, config, folder_kind.pieces.mark_names(config))
    pieces = pieces_of(folder_kind.pieces, exported, config, exported.card, marks=facts.marks)
    scorer = OnnxGliner(exported, precision, config, facts.labels, options.threads)
    normalises = folder.card.get("labels") == NORMALISED
    return GlinerHead(scorer, config, pieces, decoding=options.decoding or "flat", normalises=normalises)


def _on_torch(source: str, options: HeadOptions, loaded: "GlinerFolder | None" = None) -> GlinerHead:
    """Return the head in fp32, for which published thresholds hold, unless the options have bf16."""
    from nerbert.model.gliner.layers import TorchGliner

    loaded = loaded or load_gliner(Path(source))
    precision = "bf16" if options.precision == "bf16" else "fp32"
    name, tokens = place_model(loaded.model, replace(options, precision=precision))
    return GlinerHead(
        TorchGliner(loaded, precision, name),
        loaded.model.config,
        loaded.pieces,
        decoding=options.decoding or "flat",
        max_tokens=MAX_TOKENS if name.endswith("cpu") else tokens,
        normalises=ModelFolder(source).card.get("labels") == NORMALISED,
    )
