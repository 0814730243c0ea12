"""Settings of a language model: the endpoint, the prompt, the budget; and the key, which isn't among the settings."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Interval

from nerbert.config import Settings, load_settings, refuse
from nerbert.errors import SettingsError, at, unknown
from nerbert.sources.remote import without_secrets

if TYPE_CHECKING:
    from pydantic import SecretStr

PLACE = "{text}"
"""The placeholder of the passage in a prompt."""
_PROMPTS = Path(__file__).parent / "prompts"
_ENDPOINT = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
_KEY_VARIABLE = "OPENAI_API_KEY"
_FIXED = ("model", "messages", "stream", "n")
"""Fields of a request that can't be replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotateSettings(Settings):
    """The model that labels texts, its requests and the budget. All defaults are ours."""

    endpoint: str
    """URL of an OpenAI-compatible server, for example http://localhost:8000/v1."""
    model: str
    """Name of the model on the server."""
    prompt: str = "lines-1"
    """lines-1 (one mention per line), or a TOML file with `text`, which contains {text} once."""
    temperature: Annotated[float, Interval(ge=0)] = 0.0
    """Randomness of answers; 0: as little as possible."""
    max_answer_tokens: Annotated[int, Interval(ge=1, le=1 << 20)] = 2048
    """Maximum tokens of an answer; longer ones are cut off."""
    request: str = ""
    """Further fields of each request, as a JSON object; null removes a field:
    {"max_tokens": null, "max_completion_tokens": 2048}."""
    concurrency: Annotated[int, Interval(ge=1, le=512)] = 8
    """Maximum number of concurrent requests."""
    deadline: Annotated[float, Interval(gt=0)] = 300.0
    """Time limit for a complete answer, in seconds."""
    max_total_tokens: Annotated[int, Interval(ge=0)] = 0
    """Maximum tokens to spend on these texts, including earlier runs; 0: no limit."""
    max_failures: Annotated[int, Interval(ge=1)] = 20
    """The run stops after this number of failed texts in a row, which indicates a problem of the server."""
    key_variable: str = _KEY_VARIABLE
    """Environment variable with the server's key. A server without keys needs none."""
    cache: str = ""
    """Folder for saved answers; default: the user's cache folder."""

    def __post_init__(self) -> None:
        super(AnnotateSettings, self).__post_init__()
        address = self.endpoint.strip().rstrip("/")
        must = "an address such as http://localhost:8000/v1; put the key into an environment variable"
        refuse(not _ENDPOINT.fullmatch(address), "endpoint", without_secrets(address), must)
        object.__setattr__(self, "endpoint", address)
        refuse(not self.model.strip() or not self.model.isprintable(), "model", self.model, "a model's name")
        unbound = not self.longest_answer and bool(self.max_total_tokens)
        refuse(unbound, "request", self.request, "one with max_tokens or max_completion_tokens, for there is a budget")

    @property
    def longest_answer(self) -> int:
        """Maximum tokens of an answer that a request allows; 0 without a limit."""
        fields = self.request_fields()
        names = ("max_tokens", "max_completion_tokens")
        return max(value if isinstance(value := fields.get(name), int) and value > 0 else 0 for name in names)

    def request_fields(self) -> dict[str, Any]:
        """Return the fields of a request except model and messages; fields with None are left out of the request."""
        try:
            extra = json.loads(self.request or "{}")
        except (ValueError, RecursionError):
            extra = None
        good = isinstance(extra, dict) and not any(name in extra for name in _FIXED)
        refuse(not good, "request", self.request, f"a JSON object without {', '.join(_FIXED)}")
        defaults: dict[str, Any] = {"temperature": self.temperature, "max_tokens": self.max_answer_tokens}
        return {**defaults, **extra}


@dataclass(frozen=True, kw_only=True)
class Prompt(Settings):
    """The model's instructions, the form of its answers, and the requested types (`asked`; (): all types)."""

    text: str
    form: Literal["lines"] = "lines"
    asked: tuple[str, ...] = ()

    def fill(self, passage: str) -> str:
        """Return the prompt with the placeholder replaced by a passage."""
        return self.text.strip().replace(PLACE, passage)


def load_prompt(name: str) -> Prompt:
    """Return a built-in prompt by its name, or the prompt in a TOML file."""
    paths = {path.stem: path for path in sorted(_PROMPTS.glob("*.toml"))}
    path = paths.get(name, Path(name))
    if name not in paths and path.suffix != ".toml":
        must = f"{', '.join(sorted(paths))} or a TOML file"
        raise SettingsError(f"setting prompt = {name!r}{unknown(name, paths, allowed=must)}", setting="prompt")
    with at(path):
        prompt = load_settings(Prompt, path)
        refuse(prompt.text.count(PLACE) != 1, "text", prompt.text[:80], f"a text that contains {PLACE} once")
    return prompt


def load_key(variable: str) -> "SecretStr":
    """Return a server's key, masked in logs; "" for none."""
    from pydantic import SecretStr

    key = os.environ.get(variable, "").strip()
    if not key and variable != _KEY_VARIABLE:
        raise SettingsError(f"the environment variable {variable} holds no key; set it", setting="key_variable")
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(f"the environment variable {variable} holds what can't be a key", setting="key_variable")
    return SecretStr(key)
