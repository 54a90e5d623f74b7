"""QGIS layer styles (QML) for polygons in categories.

Only what QGIS needs to draw: a categorised renderer with one fill symbol a value. QGIS fills in every
property that the file leaves out.

Source: QGIS documentation, "QGIS style file (.qml)"; property names of `QgsSimpleFillSymbolLayer` and
`QgsLinePatternFillSymbolLayer`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree


@dataclass(frozen=True)
class Symbol:
    """How one category is drawn.

    Attributes:
        label: Text in the legend.
        fill: Hex colour of the fill, or None for outline only.
        outline: Hex colour of the outline.
        width_mm: Width of the outline in millimetres.
        hatched: Whether the fill is hatched instead of solid.
    """

    label: str
    fill: str | None
    outline: str
    width_mm: float
    hatched: bool = False


def style_qml(attribute: str, symbols: Mapping[str, Symbol]) -> str:
    """A QML document that draws each value of `attribute` with its symbol."""
    root = ElementTree.Element("qgis", version="3.22.0", styleCategories="Symbology")
    renderer = ElementTree.SubElement(
        root, "renderer-v2", type="categorizedSymbol", attr=attribute, symbollevels="0", enableorderby="0"
    )
    categories = ElementTree.SubElement(renderer, "categories")
    drawings = ElementTree.SubElement(renderer, "symbols")
    for number, (value, symbol) in enumerate(symbols.items()):
        ElementTree.SubElement(
            categories,
            "category",
            symbol=str(number),
            value=value,
            type="string",
            label=symbol.label,
            render="true",
        )
        drawing = ElementTree.SubElement(
            drawings, "symbol", name=str(number), type="fill", alpha="1", clip_to_extent="1"
        )
        if symbol.hatched and symbol.fill:
            hatch = _layer(
                drawing, "LinePatternFill", {"angle": "45", "distance": "1.5", "line_width": "0.2"}
            )
            line = ElementTree.SubElement(hatch, "symbol", name=f"@{number}@0", type="line", alpha="1")
            _layer(line, "SimpleLine", {"line_color": _rgba(symbol.fill), "line_width": "0.2"})
        _layer(
            drawing,
            "SimpleFill",
            {
                "color": _rgba(symbol.fill or "#ffffff"),
                "style": "solid" if symbol.fill and not symbol.hatched else "no",
                "outline_color": _rgba(symbol.outline),
                "outline_style": "solid",
                "outline_width": str(symbol.width_mm),
                "outline_width_unit": "MM",
            },
        )
    return _document(root)


def choices_qml(attribute: str, values: Sequence[str]) -> str:
    """A QML document in which the form offers `values` for `attribute`."""
    root = ElementTree.Element("qgis", version="3.22.0", styleCategories="Fields|Forms")
    fields = ElementTree.SubElement(root, "fieldConfiguration")
    widget = ElementTree.SubElement(
        ElementTree.SubElement(fields, "field", name=attribute), "editWidget", type="ValueMap"
    )
    options = ElementTree.SubElement(ElementTree.SubElement(widget, "config"), "Option", type="Map")
    listed = ElementTree.SubElement(options, "Option", name="map", type="List")
    for value in values:
        choice = ElementTree.SubElement(listed, "Option", type="Map")
        ElementTree.SubElement(choice, "Option", name=value, type="QString", value=value)
    return _document(root)


def _layer(parent: ElementTree.Element, kind: str, properties: Mapping[str, str]) -> ElementTree.Element:
    layer = ElementTree.SubElement(
        parent, "layer", {"class": kind, "enabled": "1", "locked": "0", "pass": "0"}
    )
    options = ElementTree.SubElement(layer, "Option", type="Map")
    for name, value in properties.items():
        ElementTree.SubElement(options, "Option", name=name, type="QString", value=value)
        # QGIS before 3.26 reads <prop>, later versions read <Option>.
        ElementTree.SubElement(layer, "prop", k=name, v=value)
    return layer


def _rgba(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"{red},{green},{blue},255"


def _document(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    declaration = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
    return declaration + ElementTree.tostring(root, encoding="unicode")
