"""Build what is published, and check it: `./run release [TAG]` leaves wheels and sdists in dist/, an SBOM in build/.

Checked are the metadata, the content and size of both files, installations in new environments, and the licences of
what nerbert's extras bring. The SBOM lists the versions in the environment that runs the tests; an extra that isn't
installed there is named, and is in neither the SBOM nor the check of licences. With a tag, version and changelog must
have it.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from licences import Licence, Verdict, closure, licence_of, needs
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION = PROJECT["version"]
DIST, SBOM = ROOT / "dist", ROOT / "build" / f"nerbert-{VERSION}.cdx.json"
CHANGES = ROOT / "CHANGELOG.md"
TOOLS = ROOT / ".venv-release" / "bin"
RUN_TIME = ("", *PROJECT["optional-dependencies"])
"""No extra, and each."""
MODELS = {path.parent.name: path.parent for path in sorted(ROOT.glob("models/*/pyproject.toml"))}
"""The project's models that are distributions of their own."""
PACKAGES = {path.parent.name: path.parent for path in sorted(ROOT.glob("packages/*/pyproject.toml"))}
"""The project's packages of commands that are distributions of their own."""
LARGEST = {"nerbert": 50_000_000, "package": 1_000_000, "model": 100_000_000}
"""Bytes of a file that is published; 100 MB are what the package index takes."""
UNPUBLISHED = (".github/", *(f"models/{name}/nerbert_{name}/model/" for name in MODELS))
"""Tracked files that the sdist lacks: they serve the project's own repository, or are in a distribution of its own."""
SENTENCE = "Charles Darwin sailed on HMS Beagle to Brazil."
VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())
sys.exit(error and f"SBOM: {error}")
"""


def main(tag: str = "") -> None:
    """Build and check everything; stop with one line at the first thing that is wrong."""
    if tag:
        _expect(tag == f"v{VERSION}", f"tag {tag}, but pyproject.toml has version {VERSION}")
        heading = f"## {VERSION}\n"
        _expect(heading in CHANGES.read_text(encoding="utf-8"), f"CHANGELOG.md has no line {heading.strip()}")
    cited = f"\nversion: {VERSION}\n"
    _expect(cited in (ROOT / "CITATION.cff").read_text(encoding="utf-8"), f"CITATION.cff has no line {cited.strip()}")
    DIST.mkdir(exist_ok=True)
    wheel, sdist = build(ROOT)
    check_content(wheel, sdist)
    models = {name: build(folder)[0] for name, folder in MODELS.items()}
    for name, model in models.items():
        check_part(MODELS[name], f"nerbert_{name}", model, "model")
    packages = {name: build(folder)[0] for name, folder in PACKAGES.items()}
    for name, package in packages.items():
        check_part(PACKAGES[name], name.replace("-", "_"), package, "package")
    with tempfile.TemporaryDirectory() as scratch:
        unpacked = Path(scratch, "unpacked")
        shutil.unpack_archive(wheel, unpacked, "zip")
        try_installations(wheel, models, unpacked, Path(scratch))
        try_packages(packages, Path(scratch) / "bare")
        (own,) = metadata.distributions(path=[str(unpacked)])
        requires = own.requires or []
    write_sbom(check_licences(requires), requires)
    print(f"release: nerbert {VERSION} can be published: {wheel.name}, {sdist.name}, {SBOM.name}")


def build(project: Path) -> tuple[Path, Path]:
    """Return a new wheel of a project's folder, built from a new sdist, and that sdist."""
    name = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"].replace("-", "_")
    for old in DIST.glob(f"{name}-*"):
        old.unlink()
    _run(TOOLS / "python", "-m", "build", "--installer", "uv", "--outdir", DIST, project)
    (wheel,), (sdist,) = DIST.glob(f"{name}-*.whl"), DIST.glob(f"{name}-*.tar.gz")
    _run(TOOLS / "twine", "check", "--strict", wheel, sdist)
    return wheel, sdist


def check_content(wheel: Path, sdist: Path) -> None:
    """Print the sizes of folders; the wheel must hold the package's tracked files, the sdist all but `UNPUBLISHED`."""
    tracked = set(filter(None, _run("git", "-C", ROOT, "ls-files", "-z").split("\0")))
    in_wheel = {each.filename: each.file_size for each in zipfile.ZipFile(wheel).infolist()}
    with tarfile.open(sdist) as archive:
        in_sdist = {each.name.partition("/")[2]: each.size for each in archive.getmembers() if each.isfile()}
    own = {name for name in in_wheel if not name.startswith(f"nerbert-{VERSION}.dist-info/")}
    _expect_same(wheel, own, {name for name in tracked if name.startswith("nerbert/")})
    _expect_same(sdist, set(in_sdist) - {"PKG-INFO"}, {name for name in tracked if not name.startswith(UNPUBLISHED)})
    for path, sizes in ((wheel, in_wheel), (sdist, in_sdist)):
        _expect_small(path, "nerbert")
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, {len(sizes)} files; unpacked, in MB:")
        folders = Counter[str]()
        for name, size in sizes.items():
            folders["/".join(name.split("/")[:2])] += size
        print(*(f"  {size / 1e6:6.2f} {name}" for name, size in folders.most_common(8)), sep="\n")


def check_part(project: Path, package: str, wheel: Path, kind: str) -> None:
    """Print the size of the wheel of a model or a package, which must hold the tracked files of its Python package."""
    tracked = _run("git", "-C", project, "ls-files", "-z", package).split("\0")
    own = {each for each in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in each}
    _expect_same(wheel, own, set(filter(None, tracked)))
    _expect_small(wheel, kind)
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")


def try_installations(wheel: Path, models: Mapping[str, Path], unpacked: Path, scratch: Path) -> None:
    """Install the wheel without extras, then with [onnx], and tag a sentence there with a tagger that was exported.

    The wheel's own package exports it, with torch from the environment that runs this. At last install the models'
    wheels, too, and tag with them.
    """
    bare, text = scratch / "bare", scratch / "text.txt"
    text.write_text(SENTENCE, encoding="utf-8")
    _run(TOOLS / "uv", "venv", "--python", sys.executable, bare)
    _install(bare, f"nerbert @ {wheel.as_uri()}")
    first = _run(bare / "bin/nerbert", "--version").splitlines()[0]
    _expect(first == f"nerbert {VERSION}", f"nerbert --version prints {first!r}, not version {VERSION}")
    _expect("Usage: nerbert COMMAND" in _run(bare / "bin/nerbert", "--help"), "nerbert --help has no usage")
    _run(bare / "bin/python", "-W", "error", "-c", "import nerbert")
    refused = subprocess.run(
        [bare / "bin/nerbert", "tag", "embedded", text], capture_output=True, text=True, check=False
    )
    one_line = refused.stderr.count("\n") == 1 and "pip install 'nerbert[" in refused.stderr
    _expect(refused.returncode == 1 and one_line, f"without extras, nerbert tag says: {refused.stderr}")
    light = scratch / "light"
    _run(sys.executable, "-m", "nerbert", "export", "embedded", "-o", light, path=unpacked)
    _install(bare, f"nerbert[onnx] @ {wheel.as_uri()}")
    found = _run(bare / "bin/nerbert", "tag", light, text, "--json")
    _expect('"type": "ship"' in found, f"no ship in {found}")
    print(f"nerbert[onnx] in a new environment: {found.strip()}")
    for name, model in models.items():
        _install(bare, f"nerbert-{name} @ {model.as_uri()}")
        found = _run(bare / "bin/nerbert", "tag", name, "--text", SENTENCE, "--labels", "person,ship", "--json")
        _expect('"type": "ship"' in found, f"{name} finds no ship: {found}")
        print(f"and nerbert-{name}: {found.strip()}")


def try_packages(packages: Mapping[str, Path], bare: Path) -> None:
    """Install the packages' wheels into an environment with nerbert; each command says where it is, then its help."""
    for name, wheel in packages.items():
        project = tomllib.loads((PACKAGES[name] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        commands = project["entry-points"]["nerbert.commands"]
        for command in commands:
            words = [bare / "bin/nerbert", *command.split()]
            said = subprocess.run(words, capture_output=True, text=True, check=False).stderr
            _expect(f"pip install {name}\n" in said, f"without {name}, nerbert {command} says: {said}")
        _install(bare, f"{name} @ {wheel.as_uri()}")
        for command in commands:
            told = _run(bare / "bin/nerbert", *command.split(), "--help")
            _expect(f"Usage: nerbert {command} " in told, f"nerbert {command} --help has no usage")
        print(f"and {name}: nerbert {', nerbert '.join(commands)}")


def check_licences(requires: Sequence[str]) -> dict[str, Licence]:
    """Return what these lines and the run-time extras bring, by canonical name, once all licences are allowed."""
    installed: dict[str, metadata.Distribution] = {
        canonicalize_name(each.metadata["Name"]): each for each in metadata.distributions()
    }
    names = set[str]()
    for extra in RUN_TIME:
        found, missing = closure(requires, extra, installed)
        names |= found
        if missing:
            print(f"licences: nerbert[{extra}] is not checked whole: {', '.join(sorted(missing))} not installed")
    licences = [licence_of(installed[name]) for name in sorted(names)]
    for name, said, verdict in licences:
        if verdict is not Verdict.ALLOWED:
            print(f"licences: {name}: {said}: {verdict.name.lower()}")
    _expect(
        all(each.verdict is Verdict.ALLOWED for each in licences),
        "read these licences; if they allow it, name them with the reason in .ci/licences.py",
    )
    print(f"licences: {len(licences)} distributions of all run-time extras are allowed")
    return {each.name: each for each in licences}


def write_sbom(licences: Mapping[str, Licence], requires: Sequence[str]) -> None:
    """Write a valid CycloneDX file with these distributions of this environment, and the page's JavaScript.

    nerbert itself depends on what `requires` names. Links are left out: a `purl` identifies each distribution.
    """
    whole = json.loads(
        _run(
            TOOLS / "cyclonedx-py",
            "environment",
            "--no-validate",
            "--output-reproducible",
            "--spec-version",
            "1.6",
            "--pyproject",
            ROOT / "pyproject.toml",
            sys.executable,
        )
    )
    found: dict[str, Any] = {canonicalize_name(each["name"]): each for each in whole["components"]}
    whole["components"] = [_component(found[name], licence) for name, licence in licences.items()] + _vendored()
    refs = {each["bom-ref"] for each in whole["components"]}
    direct = {canonicalize_name(need.name) for extra in RUN_TIME for need in needs(requires, extra)}
    whole["dependencies"] = [
        {"ref": each["ref"], "dependsOn": sorted(refs.intersection(each.get("dependsOn", ())))}
        for each in whole["dependencies"]
        if each["ref"] in refs
    ]
    whole["dependencies"].append(
        {
            "ref": whole["metadata"]["component"]["bom-ref"],
            "dependsOn": sorted(found[name]["bom-ref"] for name in direct if name in licences),
        }
    )
    text = json.dumps(whole, indent=1, ensure_ascii=False)
    subprocess.run([TOOLS / "python", "-c", VALIDATE], input=text, text=True, check=True)
    SBOM.parent.mkdir(exist_ok=True)
    SBOM.write_text(text + "\n", encoding="utf-8")


def _component(found: Mapping[str, Any], licence: Licence) -> dict[str, Any]:
    """Return a component without links; where it has no licence, with what the metadata say."""
    said = [{"license": {"name": licence.said}}]
    return {"licenses": said, **{key: value for key, value in found.items() if key != "externalReferences"}}


def _vendored() -> list[dict[str, Any]]:
    """Return components for the JavaScript modules that the wheel holds; tests compare them with their packages."""
    versions = json.loads((ROOT / "tests/serve/page/package.json").read_text(encoding="utf-8"))["devDependencies"]
    licences = {"preact": "MIT", "htm": "Apache-2.0"}
    return [
        {
            "type": "library",
            "bom-ref": f"{name}=={versions[name]}",
            "name": name,
            "version": versions[name],
            "purl": f"pkg:npm/{name}@{versions[name]}",
            "licenses": [{"license": {"id": licence}}],
        }
        for name, licence in licences.items()
    ]


def _install(environment: Path, wheel: str) -> None:
    _run(TOOLS / "uv", "pip", "install", "--quiet", "--python", environment / "bin/python", wheel)


def _run(*command: str | Path, path: Path | None = None) -> str:
    """Return what a command prints; with `path`, Python finds packages there first."""
    environment = {**os.environ, "PYTHONPATH": str(path)} if path else {**os.environ}
    if not path:
        environment.pop("PYTHONPATH", None)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT / "dist", check=False)
    _expect(done.returncode == 0, f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _expect_same(path: Path, found: Iterable[str], tracked: Iterable[str]) -> None:
    more, less = sorted({*found} - {*tracked}), sorted({*tracked} - {*found})
    _expect(not more, f"{path.name} holds what git doesn't track: {', '.join(more[:5])}")
    _expect(not less, f"{path.name} lacks {', '.join(less[:5])}")


def _expect_small(path: Path, kind: str) -> None:
    _expect(path.stat().st_size <= LARGEST[kind], f"{path.name}: more than {LARGEST[kind]:,} bytes")


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        sys.exit(f"release: {otherwise}")


if __name__ == "__main__":
    main(*sys.argv[1:])
