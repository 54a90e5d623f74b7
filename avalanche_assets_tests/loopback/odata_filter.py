"""OData filters, evaluated on entities as the Copernicus Data Space does, for the forms that we send.

Attributes are compared by name, kind and value: a wrong name or kind matches nothing and is no error. What is
not a known form is refused, as the service refuses it with 400.
"""

import operator
import re
from datetime import datetime

import shapely

OPERATORS = {
    "eq": operator.eq,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_TEXT = r"'((?:[^']|'')*)'"
_ATTRIBUTE = re.compile(
    r"Attributes/OData\.CSC\.(?P<kind>\w+)Attribute/any\(att:att/Name eq "
    + _TEXT
    + r" and att/OData\.CSC\.(?P=kind)Attribute/Value (eq|gt|ge|lt|le) (.+)\)"
)
_DATE = re.compile(
    r"(ContentDate/Start|ContentDate/End|PublicationDate|ModificationDate|DeletionDate) "
    r"(eq|gt|ge|lt|le) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3,6})?Z)"
)
_NAME = re.compile(r"(startswith|contains|endswith)\(Name," + _TEXT + r"\)")
_AREA = re.compile(r"OData\.CSC\.Intersects\(area=geography'SRID=4326;(POLYGON *\(\(.*\)\))'\)")


def matcher(text):
    """Whether an entity passes a filter, as a function.

    Raises:
        ValueError: It is not understood.
    """
    for word, combine in ((" or ", any), (" and ", all)):
        parts = _split(text, word)
        if len(parts) > 1:
            tests = [matcher(part) for part in parts]
            return lambda entity, combine=combine, tests=tests: combine(test(entity) for test in tests)
    if text.startswith("(") and text.endswith(")"):
        return matcher(text[1:-1])
    return _clause(text)


def date_of(entity, field):
    """One of the dates of an entity by its path; None where it has no such date."""
    value = entity
    for part in field.split("/"):
        value = value.get(part) if value else None
    return value and datetime.fromisoformat(value)


def _clause(text):
    if text == "Collection/Name eq 'SENTINEL-1'":
        return lambda entity: True
    if text == "Online eq true":
        return lambda entity: entity["Online"]
    if match := _ATTRIBUTE.fullmatch(text):
        kind, name, comparison, value = match.groups()
        return lambda entity: _has(entity, kind, name, OPERATORS[comparison], _literal(value))
    if match := _DATE.fullmatch(text):
        field, comparison, value = match.groups()
        limit, compare = datetime.fromisoformat(value), OPERATORS[comparison]
        return lambda entity: (found := date_of(entity, field)) is not None and compare(found, limit)
    if match := _NAME.fullmatch(text):
        test = {"startswith": str.startswith, "contains": str.__contains__, "endswith": str.endswith}
        return lambda entity: test[match[1]](entity["Name"], match[2].replace("''", "'"))
    if match := _AREA.fullmatch(text):
        area = shapely.from_wkt(match[1])
        if not area.is_valid:
            raise ValueError(f"invalid geometry in {text}")
        return lambda entity: (
            bool(entity["GeoFootprint"]) and area.intersects(shapely.geometry.shape(entity["GeoFootprint"]))
        )
    raise ValueError(f"not understood: {text}")


def _has(entity, kind, name, compare, value):
    return any(
        attribute["Name"] == name and attribute["ValueType"] == kind and compare(attribute["Value"], value)
        for attribute in entity["Attributes"]
    )


def _literal(text):
    if match := re.fullmatch(_TEXT, text):
        return match[1].replace("''", "'")
    return int(text)


def _split(text, word):
    """Parts between a word that stands in no brackets and no quotes."""
    parts, depth, quoted, begun = [], 0, False, 0
    for index, letter in enumerate(text):
        quoted ^= letter == "'"
        depth += 0 if quoted else (letter == "(") - (letter == ")")
        if not quoted and depth == 0 and text.startswith(word, index):
            parts.append(text[begun:index])
            begun = index + len(word)
    return [*parts, text[begun:]]
