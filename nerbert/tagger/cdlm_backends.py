"""CDLM taggers on torch: a linear head whose scores are those of the best paths through each tag."""

from dataclasses import replace

from nerbert.errors import InputError, need
from nerbert.model.folder import ModelFolder
from nerbert.model.linear import LinearHead
from nerbert.tagger.backends import HeadKind, Wanted, placed

_TOKENS = 16384
"""Pieces of a micro-batch: an LSTM goes word by word, so many sentences at once are far faster."""


class CdlmHeadKind(HeadKind):
    """A BiLSTM with generated weights, and a CRF."""

    @classmethod
    def check_export(cls, source: str) -> None:
        """Raise InputError: there is no graph of it."""
        raise InputError(f"{source}: a CDLM tagger computes in torch alone, and can't be exported")

    @classmethod
    def open(cls, folder: ModelFolder, wanted: Wanted) -> LinearHead:
        """Return it; raise InputError for another back end than torch, MissingExtra without that."""
        if wanted.backend == "onnx" or wanted.precision == "int8":
            raise InputError(f"{folder}: a CDLM tagger computes in torch alone, in fp32")
        need("train", "torch", "transformers")
        from nerbert.model.backbone import load_tokenizer
        from nerbert.model.cdlm.cdlm_model import CdlmModel, open_cdlm
        from nerbert.model.cdlm.word_pieces import WordPieces
        from nerbert.model.forward import TorchScorer

        tokenizer = load_tokenizer(folder.name)
        model = open_cdlm(folder.name, tokenizer)
        pieces = WordPieces(tokenizer, wanted.longest, on_too_long=wanted.on_too_long)
        name, _ = placed(model, replace(wanted, precision="fp32"))
        scorer = TorchScorer(model, "fp32", CdlmModel.scores)
        return LinearHead(scorer, pieces, model.shape.tags, _TOKENS, wanted.decoding or "legal", name)
