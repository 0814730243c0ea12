"""Every coin of the project: hash(seed, step, id) read as a number in [0, 1).

Never a shared random state and never one coin for two steps, so work can be done in any order, anywhere, twice, with
the same outcome. The price is a hash a draw.
"""

from hashlib import blake2b


def coin(seed: int, step: str, identity: str) -> float:
    """A number in [0, 1), uniform over identities, the same on every machine; `step` names what it decides."""
    digest = blake2b(f"{seed}\0{step}\0{identity}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)
