"""What `nerbert label` does: serve a project on a page of this machine."""

from collections.abc import Sequence
from pathlib import Path

from nerbert.entity_labels import parse_labels
from nerbert.formats.documents import Reading
from nerbert.model.folder import usual_model
from nerbert.serve.protocol import PROTOCOLS
from nerbert.serve.server import ServeJob, serve
from nerbert.serve.settings import Limits
from nerbert_label.labelling import LabelJob, Labelling
from nerbert_label.routes import label_routes

_READING = Reading()


def serve_labelling(
    files: Sequence[str | Path] = (),
    folder: str | Path | None = None,
    *,
    types: str = "",
    tagger: str = "",
    encoder: str = "",
    config: Path | None = None,
    seed: int = 0,
    port: int = 8010,
    browser: bool = True,
    reading: Reading = _READING,
) -> None:
    """Serve a page on which sentences are labelled while a tagger learns from them, until SIGTERM or Ctrl-C.

    `files` are files or folders with the sentences. All work is kept in `folder` (default: the first file's name with
    -labels, or else labels); the same call goes on with it. `types` are written as labels of `nerbert tag`. `tagger`
    makes the first suggestions, and `encoder` is fine-tuned, by the settings of the file `config`; default of both:
    `minilm`, or `many` for another language than English. `seed` orders the sentences at random.
    """
    paths = tuple(map(Path, files))
    usual = "" if tagger and encoder else usual_model(reading.language)
    default = f"{paths[0].absolute().stem[:60]}-labels" if paths else "labels"
    job = LabelJob(
        folder=Path(folder or default),
        files=paths,
        types=tuple(parse_labels(types)) if types else (),
        encoder=encoder or usual,
        config=config,
        seed=seed,
        reading=reading,
    )
    work = Labelling(job)
    served = ServeJob(
        taggers=(tagger or usual,),
        port=port,
        # The page comes with the other operations.
        protocols=tuple(name for name in PROTOCOLS if name != "page"),
        limits=Limits(),
        operations=label_routes(work),
        lifespan=work.run,
        browser=browser,
    )
    serve(served)
