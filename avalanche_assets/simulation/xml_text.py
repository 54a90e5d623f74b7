"""XML as nested calls: `node` makes an element from its tag, content and attributes."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

HEADER = '<?xml version="1.0" encoding="UTF-8"?>\n'


def node(tag: str, *content: object, **attributes: object) -> str:
    """An element; contents are elements or plain values without characters that XML reserves."""
    pairs = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<{tag}{pairs}>{''.join(str(item) for item in content)}</{tag}>"


def counted(tag: str, items: Iterable[str]) -> str:
    """A list element with its number of items, as Sentinel-1 annotations have it."""
    elements = list(items)
    return node(tag, *elements, count=len(elements))


def exact(value: float) -> str:
    """A number with all its digits."""
    return f"{value:.15e}"


def vector(tag: str, values: NDArray[np.float64], form: str = "%.6e") -> str:
    """Space-separated numbers with their count."""
    return node(tag, " ".join([form % value for value in values]), count=len(values))
