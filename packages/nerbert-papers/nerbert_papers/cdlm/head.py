"""The head of CDLM's taggers."""

from dataclasses import replace

from nerbert.errors import InputError
from nerbert.model.backbone import load_tokenizer
from nerbert.model.folder import ModelFolder
from nerbert.model.head_kinds import HeadKind, HeadOptions
from nerbert.model.linear import LinearHead
from nerbert.tagger.backends import place_model
from nerbert_papers.cdlm.word_pieces import WordPieces

_TOKENS = 16384
"""An LSTM processes word by word, so large batches are far faster."""


class CdlmHeadKind(HeadKind):
    """A BiLSTM with generated weights, and a CRF: a linear head with the scores of the best paths through each tag."""

    @classmethod
    def open(cls, folder: ModelFolder, options: HeadOptions) -> LinearHead:
        """Return the head; raise InputError for a back end other than torch."""
        if options.backend == "onnx" or options.precision == "int8":
            raise InputError(f"{folder}: a CDLM tagger computes in torch alone, in fp32")
        from nerbert.model.forward import TorchScorer
        from nerbert_papers.cdlm.cdlm_model import CdlmModel, open_cdlm

        tokenizer = load_tokenizer(folder.name)
        model = open_cdlm(folder.name, tokenizer)
        pieces = WordPieces(tokenizer, options.longest, on_too_long=options.on_too_long)
        name, _ = place_model(model, replace(options, precision="fp32"))
        scorer = TorchScorer(model, "fp32", CdlmModel.scores)
        return LinearHead(scorer, pieces, model.shape.tags, _TOKENS, options.decoding or "legal", name)
