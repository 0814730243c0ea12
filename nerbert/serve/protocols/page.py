"""The page: static files of the package.

The page runs only its own scripts, and asks nobody but this server. It needs no token; what it asks for does.
"""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import Response

from nerbert.serve.protocol import Call

_FILES = Path(__file__).parent.parent / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_INLINE = re.compile(rb'<script type="importmap">(.*?)</script>', re.DOTALL)


async def file(call: Call) -> Response:
    """Return the page or a file of it, with the policy that browsers hold it to; raise HTTPException for none."""
    (files, policy), name = _page(), call.path.get("name", "index.html")
    if name not in files:
        raise HTTPException(404, f"no file {name!r:.80} on this page")
    kind = f"{_TYPES.get(Path(name).suffix, 'text/plain')}; charset=utf-8"
    safety = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
    return Response(files[name], headers={"Content-Type": kind, "Cache-Control": "no-cache", **safety})


@cache
def _page() -> tuple[dict[str, bytes], str]:
    """Return the page's files by name, and its policy; the import map is the one script that stands in the page."""
    files = {path.name: path.read_bytes() for path in _FILES.iterdir() if path.is_file()}
    inline = _INLINE.search(files["index.html"])
    digest = base64.b64encode(hashlib.sha256(inline[1] if inline else b"").digest()).decode()
    return files, (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
