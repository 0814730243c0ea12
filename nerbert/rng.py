"""Random numbers without a state: hash(seed, step, id) read as a number in [0, 1).

So items can be processed in any order, in any process, or twice. Cost: a hash for each number.
"""

from hashlib import blake2b
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def hash64(text: str) -> int:
    """Return a 64-bit hash of any text, the same on every machine."""
    # Not `hash`, whose seed differs between processes.
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def uniform(seed: int, step: str, identity: str) -> float:
    """Return a number in [0, 1), uniform over identities, the same on every machine; `step` names the decision."""
    # A float has 53 bits: the upper ones of 64.
    return (hash64(f"{seed}\0{step}\0{identity}") >> 11) / (1 << 53)


def uniforms(seed: int, step: str, numbers: Array) -> Array:
    """Return numbers in [0, 1) for many integers: a key of seed and step, mixed with each integer as in SplitMix64."""
    key = np.uint64(hash64(f"{seed}\0{step}"))
    # Twice, with the key between: keys that differ by 1 would give shifted copies of one sequence.
    drawn = mix_bits(mix_bits(numbers.astype(np.uint64) + key) ^ key)
    result: Array = (drawn >> np.uint64(11)).astype(np.float64) / float(1 << 53)
    return result


def mix_bits(values: Array) -> Array:
    """Mix the bits by SplitMix64's output function."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    final: Array = values ^ (values >> np.uint64(31))
    return final
