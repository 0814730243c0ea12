"""The versions of what is installed, for reports of faults. No library is imported to learn its version."""

import platform

from nerbert import __version__

_REPORTED = ("torch", "transformers", "onnxruntime")


def installed_version(name: str) -> str:
    """Return a distribution's version, "" if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # takes longer than what most commands need

    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def machine() -> str:
    """Return Python's version and the system: `Python 3.12.4, Linux 6.1.0 on x86_64`."""
    system = f"{platform.system()} {platform.release()} on {platform.machine()}"
    return f"Python {platform.python_version()}, {system}"


def version_report() -> str:
    """Return what `nerbert --version` prints; its first line is `nerbert` and the version."""
    libraries = (f"{name} {installed_version(name) or 'not installed'}" for name in _REPORTED)
    return "\n".join([f"nerbert {__version__}", machine(), *libraries])
