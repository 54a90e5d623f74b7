"""Fields of the XML files of a product, with errors that name the file and the field."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
from lxml import etree
from numpy.typing import NDArray

from avalanche_assets.errors import SafeError

ValueT = TypeVar("ValueT")

LARGEST = sys.float_info.max
LARGEST_INTEGER = 2**31 - 1
MAX_PIXELS = 100_000
"""More lines or samples than any image has: a slice has some 17,000 x 26,000."""
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBERS = re.compile(r"[\d.eE+\-\s]+", re.ASCII)
"""What Python reads as numbers and is of these characters is a number in XML too; 1_0 or nan are not."""
_INSTANT = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z?", re.ASCII)


@cache
def _finder(path: str) -> etree.XPath:
    """A compiled search: compiling takes longer than searching a small element."""
    steps = "/".join(f"*[local-name()='{name}']" for name in path.split("/"))
    return etree.XPath(f".//{steps}")


@dataclass(frozen=True)
class XmlNode:
    """An element of an XML file; paths are element names without namespaces, joined by slashes.

    Attributes:
        file: The file's name, for messages.
        element: The lxml element.
    """

    file: str
    element: etree._Element

    @classmethod
    def parse(cls, content: bytes, file: str) -> "XmlNode":
        """The root element.

        Raises:
            SafeError: The content is not well-formed XML in UTF-8, or declares a document type, which no
                product does: entities could expand without bounds or pull in other files.
        """
        if b"<!DOCTYPE" in content:
            raise SafeError(f"{file}: declares a document type (DTD); download the original")
        # The encoding is fixed so that no other one can hide a document type from the line above.
        parser = etree.XMLParser(
            encoding="utf-8",
            resolve_entities=False,
            no_network=True,
            remove_comments=True,
            remove_pis=True,
        )
        try:
            root = etree.fromstring(content, parser)
        except etree.XMLSyntaxError as error:
            raise SafeError(f"{file}: not well-formed XML ({error}); download it again") from error
        return cls(file, root)

    def nodes(self, path: str, most: int = LARGEST_INTEGER) -> list["XmlNode"]:
        """All elements under `path`, possibly none.

        Raises:
            SafeError: There are more than `most`.
        """
        found = _finder(path)(self.element)
        if len(found) > most:
            raise SafeError(
                f"{self.file}: {len(found)} elements {path}, more than {most}; download the original"
            )
        return [XmlNode(self.file, element) for element in found]

    def node(self, path: str) -> "XmlNode":
        """The first element under `path`.

        Raises:
            SafeError: There is none.
        """
        found = self.nodes(path)
        if not found:
            raise SafeError(f"{self.file}: field {path} is missing; download it again")
        return found[0]

    def text(self, path: str) -> str:
        """Text of the first element under `path`, without surrounding space.

        Raises:
            SafeError: The field is missing, or holds other elements.
        """
        return self.node(path)._own_text

    def texts(self, path: str) -> tuple[str, ...]:
        """Texts of all elements under `path`, possibly none."""
        return tuple(node._own_text for node in self.nodes(path))

    def number(self, path: str, low: float = -LARGEST, high: float = LARGEST) -> float:
        """A finite number from `low` to `high`, both included.

        Raises:
            SafeError: The field is missing, not a number or out of range.
        """
        return self._converted(path, lambda text: _number(text, low, high))

    def integer(self, path: str, low: int = -LARGEST_INTEGER, high: int = LARGEST_INTEGER) -> int:
        """A whole number; raises as `number`."""
        return self._converted(path, lambda text: _whole(text, low, high))

    def time(self, path: str) -> np.datetime64:
        """A UTC instant of this century in nanoseconds; raises as `number`."""
        return self._converted(path, _instant)

    def numbers(self, path: str, low: float = -LARGEST, high: float = LARGEST) -> NDArray[np.float64]:
        """Space-separated finite numbers from `low` to `high`, at least one; raises as `number`."""
        return self._converted(path, lambda text: _numbers(text, low, high))

    @property
    def _own_text(self) -> str:
        if len(self.element):
            name = etree.QName(self.element).localname
            raise SafeError(f"{self.file}: field {name} holds other elements; download it again")
        return (self.element.text or "").strip()

    def _converted(self, path: str, convert: Callable[[str], ValueT]) -> ValueT:
        text = self.text(path)
        try:
            return convert(text)
        except ValueError as error:
            raise SafeError(
                f"{self.file}: field {path} cannot be read: {str(error)[:200]}; download it again"
            ) from error


def _number(text: str, low: float, high: float) -> float:
    value = float(_matching(_NUMBERS, text))
    if not low <= value <= high:
        raise ValueError(f"{value:.10g} is not from {low:g} to {high:g}")
    return value


def _numbers(text: str, low: float, high: float) -> NDArray[np.float64]:
    values = np.array(_matching(_NUMBERS, text).split(), np.float64)
    outside = ~((values >= low) & (values <= high))
    if outside.any():
        raise ValueError(f"{values[outside][0]:.10g} is not from {low:g} to {high:g}")
    return values


def _whole(text: str, low: int, high: int) -> int:
    value = int(_matching(_WHOLE, text))
    if not low <= value <= high:
        raise ValueError(f"{text[:30]} is not from {low} to {high}")
    return value


def _matching(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"{text[:30]!r} is not a number of plain digits")
    return text


def _instant(text: str) -> np.datetime64:
    if not _INSTANT.fullmatch(text):
        raise ValueError(f"{text!r} is not a date and time (2017-12-03T05:36:00.123456)")
    return np.datetime64(text.removesuffix("Z"), "ns")
