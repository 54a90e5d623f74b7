"""Fields of the XML files of a product, with errors that name the file and the field."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from lxml import etree
from numpy.typing import NDArray

from avalanche_assets.errors import SafeError

ValueT = TypeVar("ValueT")


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
            SafeError: The content is not well-formed XML.
        """
        parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)
        try:
            root = etree.fromstring(content, parser)
        except etree.XMLSyntaxError as error:
            raise SafeError(f"{file}: not well-formed XML ({error}); download the product again") from error
        return cls(file, root)

    def nodes(self, path: str) -> list["XmlNode"]:
        """All elements under `path`, possibly none."""
        steps = "/".join(f"*[local-name()='{name}']" for name in path.split("/"))
        return [XmlNode(self.file, found) for found in self.element.xpath(f".//{steps}")]

    def node(self, path: str) -> "XmlNode":
        """The first element under `path`.

        Raises:
            SafeError: There is none.
        """
        found = self.nodes(path)
        if not found:
            raise SafeError(f"{self.file}: field {path} is missing; download the product again")
        return found[0]

    def text(self, path: str) -> str:
        """Text of the first element under `path`, without surrounding space."""
        return (self.node(path).element.text or "").strip()

    def number(self, path: str) -> float:
        """A number.

        Raises:
            SafeError: The field is missing or not a number.
        """
        return self._converted(path, float)

    def integer(self, path: str) -> int:
        """A whole number; raises as `number`."""
        return self._converted(path, int)

    def time(self, path: str) -> np.datetime64:
        """A UTC instant in nanoseconds; raises as `number`."""
        return self._converted(path, lambda text: np.datetime64(text.removesuffix("Z"), "ns"))

    def numbers(self, path: str) -> NDArray[np.float64]:
        """Space-separated numbers; raises as `number`."""
        return self._converted(path, lambda text: np.array(text.split(), np.float64))

    def _converted(self, path: str, convert: Callable[[str], ValueT]) -> ValueT:
        text = self.text(path)
        try:
            return convert(text)
        except ValueError as error:
            raise SafeError(f"{self.file}: field {path} cannot be read: {error}") from error
