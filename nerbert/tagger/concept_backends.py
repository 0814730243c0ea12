"""The back ends that compute a concept head's vectors: torch, or the graphs of both encoders on onnxruntime.

The concept encoder is opened only for labels whose vectors aren't in the cache.
"""

from functools import partial
from pathlib import Path
from typing import Any

from nerbert.errors import InputError
from nerbert.model import onnx
from nerbert.model.backbone import Backbone
from nerbert.model.concept_head import ConceptHead, concept_head
from nerbert.model.folder import CONCEPTS, ModelFolder
from nerbert.model.head_kinds import ExportedHead, ExportTask, HeadKind, HeadOptions
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.tagger.backends import on_back_end, place_model
from nerbert.tagger.label_vectors import LabelEncoder, LabelVectors


class ConceptHeadKind(HeadKind):
    """A text encoder and its concept encoder."""

    labels_at_run_time = True

    @classmethod
    def open(cls, folder: ModelFolder, options: HeadOptions) -> ConceptHead:
        """Return the head on the requested back end; raise InputError or MissingExtra if it isn't available."""
        return on_back_end(folder, options, _on_onnx, _on_torch)

    @classmethod
    def export(cls, task: ExportTask) -> ExportedHead:
        """Write the graphs of both encoders; the concept encoder's stays in fp32."""
        from nerbert.model.concept_encoder import LONGEST_NAME, ConceptModel, WordModel, open_concepts
        from nerbert.model.forward import TorchScorer

        model = open_concepts(task.source)
        text = WordModel(model.text, model.boundaries)
        width = int(model.config.hidden_size)
        pieces = task.pieces(model.config)
        names = SubwordTokenizer(model.tokenizer, model.names.config, LONGEST_NAME)

        def of_text(ids: Any, mask: Any) -> Any:
            return text.with_boundaries(model.text(input_ids=ids, attention_mask=mask).last_hidden_state)

        def of_name(ids: Any, mask: Any) -> Any:
            return model.projection(model.names(input_ids=ids, attention_mask=mask).last_hidden_state)

        columns = concept_head(boundaries=model.boundaries is not None).columns_of(width)
        parts = [model.text] if model.boundaries is None else [model.text, model.boundaries]
        task.graphs(parts, of_text, TorchScorer(text, "fp32", WordModel.scores), pieces, columns, onnx.STATES)
        parts = [model.names, model.projection]
        scorer = TorchScorer(model, "fp32", ConceptModel.name_states)
        task.graph(parts, of_name, scorer, names, width, onnx.STATES, onnx.CONCEPTS_GRAPH)
        task.write_tokenizer(model.tokenizer, onnx.CONCEPTS_TOKENIZER)
        concepts = {
            "width": width,
            "temperature": model.temperature,
            "bias": model.bias.item(),
            "pooling": model.pooling,
            "longest": LONGEST_NAME,
            "boundaries": model.boundaries is not None,
            **names.facts(),
        }
        facts = {"tags": [], "concepts": concepts, **pieces.facts()}
        exported = task.read_exported(facts)
        heads = {f"onnx {key}": _on_onnx(exported, key, HeadOptions(longest=task.longest)) for key in exported.graphs}
        on_torch = _on_torch(task.source, HeadOptions(precision="fp32", device="cpu", longest=task.longest))
        return facts, {"torch fp32": on_torch, **heads}


def _on_torch(source: str, options: HeadOptions) -> ConceptHead:
    from nerbert.model.concept_encoder import WordModel, open_comparison
    from nerbert.model.forward import TorchScorer

    facts, weights = open_comparison(source)
    text = Backbone(source, None, seed=0).load_body()
    pieces = options.pieces(source, text.config)
    width = int(text.config.hidden_size)
    inside = (Path(source) / CONCEPTS).parent.iterdir()
    files = ModelFolder(source).files("digest") if facts.shared else sorted(filter(Path.is_file, inside))
    vectors = LabelVectors(files, partial(torch_encoder, source, None if facts.shared else text), width)
    model = WordModel.of(text, weights if facts.boundaries else {})
    if facts.boundaries and model.boundaries is None:
        raise InputError(f"{source}: its concept encoder holds no layer of boundaries, but {CONCEPTS} says so")
    name, tokens = place_model(model, options)
    return concept_head(boundaries=facts.boundaries)(
        TorchScorer(model, options.precision, WordModel.scores),
        pieces,
        vectors,
        width,
        facts.temperature,
        float(weights["bias"]),
        tokens,
        options.decoding or "flat",
        name,
    )


def torch_encoder(source: str, text: object) -> LabelEncoder:
    """Return a folder's concept encoder on the CPU in fp32; `text` is its text encoder, if that is a separate one."""
    from nerbert.model.concept_encoder import LONGEST_NAME, ConceptModel, open_concepts
    from nerbert.model.forward import TorchScorer

    model = open_concepts(source, text)
    pieces = SubwordTokenizer(model.tokenizer, model.names.config, LONGEST_NAME)
    model.text = None
    return LabelEncoder(TorchScorer(model, "fp32", ConceptModel.name_states), pieces, model.pooling)


def _on_onnx(exported: onnx.Exported, precision: str, options: HeadOptions) -> ConceptHead:
    facts = exported.card.concepts
    if facts is None:
        raise InputError(f"{exported.folder}: holds no concept encoder; export the encoder again")
    head_class = concept_head(boundaries=facts.boundaries)
    columns = head_class.columns_of(facts.width)
    scorer = exported.open(exported.graphs[precision], columns, threads=options.threads, output=onnx.STATES)
    files = [*exported.files_of(onnx.CONCEPTS_GRAPH), exported.tokenizer(onnx.CONCEPTS_TOKENIZER)]
    return head_class(
        scorer,
        exported.pieces(options.longest, options.on_too_long, options.window),
        LabelVectors(files, partial(_onnx_encoder, exported, facts, options.threads), facts.width, facts),
        facts.width,
        facts.temperature,
        facts.bias,
        onnx.MAX_TOKENS,
        options.decoding or "flat",
        f"onnx {precision} cpu",
    )


def _onnx_encoder(exported: onnx.Exported, facts: onnx.ConceptFacts, threads: int) -> LabelEncoder:
    graph = exported.folder / onnx.CONCEPTS_GRAPH
    tokenizer = exported.tokenizer(onnx.CONCEPTS_TOKENIZER)
    scorer = exported.open(graph, facts.width, threads=threads, output=onnx.STATES)
    return LabelEncoder(scorer, facts.pieces(tokenizer, facts.longest), facts.pooling)
