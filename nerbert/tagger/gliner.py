"""Opens folders of the package `gliner` as taggers: torch, fp32 unless bf16 is asked for."""

from dataclasses import replace

from nerbert.errors import InputError, need
from nerbert.model.folder import ModelFolder
from nerbert.model.heads import Head
from nerbert.tagger.backends import HeadKind, Wanted, placed


class GlinerHeadKind(HeadKind):
    """A GLiNER model."""

    labels_at_run_time = True

    @classmethod
    def open(cls, folder: ModelFolder, wanted: Wanted) -> Head:
        """Return it; raise InputError for what it doesn't have: onnx, int8, cutting texts off.

        The precision is fp32 unless bf16 is wanted: published thresholds hold for it.
        """
        if wanted.backend == "onnx" or wanted.precision == "int8":
            raise InputError(f"{folder}: a GLiNER model has no back end for backend = {wanted.backend!r}, precision = "
                             f"{wanted.precision!r}: torch computes it in fp32 and bf16")  # fmt: skip
        if wanted.on_too_long != "window":
            raise InputError(f"{folder}: a GLiNER model reads long texts in windows that overlap; on_too_long = "
                             f"{wanted.on_too_long!r:.40} is not for it")  # fmt: skip
        need("train", "torch", "transformers")
        from nerbert.model.gliner.folder import load_gliner
        from nerbert.model.gliner.head import MAX_TOKENS, NORMALISED, GlinerHead

        loaded = load_gliner(folder.path)
        precision = "bf16" if wanted.precision == "bf16" else "fp32"
        name, tokens = placed(loaded.model, replace(wanted, precision=precision))
        return GlinerHead(
            loaded.model, loaded.pieces, loaded.labels_pieces, decoding=wanted.decoding, precision=precision,
            max_tokens=MAX_TOKENS if name.endswith("cpu") else tokens, name=name,
            normalises=folder.card.get("labels") == NORMALISED,
        )  # fmt: skip

    @classmethod
    def check_export(cls, source: str) -> None:
        """Raise InputError: it can't be exported yet."""
        why = "a GLiNER model, which can't be exported yet"
        raise InputError(f"{source}: {why}; `nerbert distil {source} TEXTS --labels …` trains a small tagger of fixed "
                         "types on what it finds, which can be")  # fmt: skip
