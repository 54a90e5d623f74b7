"""A catalogue that answers OData questions as that of the Copernicus Data Space does.

Recorded: the shape of pages, entities and next links (two real pages of auxiliary files, one real GRDH
entity with all its attributes). Modelled from the documentation: the filters, `DeletedProducts`, the limits
of `$top` and `$skip`, and that an answer without `$orderby` is not sorted by anything, so that its pages
overlap and miss entries. Seen by users, and modelled: a full page has a next link even when nothing follows.
"""

import json
import random
from urllib.parse import parse_qsl, urlencode

from loopback.odata_filter import date_of, matcher
from loopback.server import Answer

PATHS = ("/odata/v1/Products", "/odata/v1/DeletedProducts")

DEFAULT_TOP, MAX_TOP, MAX_SKIP = 20, 1000, 10_000
ORDERS = (
    "ContentDate/Start",
    "ContentDate/End",
    "PublicationDate",
    "ModificationDate",
    "DeletionDate",
)


class FakeOData:
    """Entities and deleted entities, and answers to questions about them.

    Attributes:
        products: What there is; tests add and change entities between questions.
        deleted: What was taken back.
        page_limit: Pages are no longer than this, whatever is asked for.
        asked: Every question, as collection and parameters.
        after_page: Called once each page was cut, e.g. to take in more products.
    """

    def __init__(self, products=(), deleted=()):
        self.products, self.deleted = list(products), list(deleted)
        self.page_limit = MAX_TOP
        self.asked = []
        self.after_page = lambda: None

    def __call__(self, request):
        """The answer to a request; a handler of `LoopbackServer`."""
        parameters = dict(parse_qsl(request.query))
        collection = request.path.rpartition("/")[2]
        self.asked.append((collection, parameters))
        entities = {"Products": self.products, "DeletedProducts": self.deleted}.get(collection)
        if entities is None:
            return _json(404, {"detail": "Not Found"})
        try:
            url = f"http://{request.headers['host']}{request.path}"
            return _json(200, self._page(url, entities, parameters))
        except ValueError as error:
            return _json(400, {"detail": {"message": str(error), "request_id": "0"}})

    def _page(self, url, entities, parameters):
        unknown = parameters.keys() - {"$filter", "$orderby", "$top", "$skip", "$count", "$expand"}
        if unknown:
            raise ValueError(f"unknown options {unknown}")
        top, skip = int(parameters.get("$top", DEFAULT_TOP)), int(parameters.get("$skip", 0))
        if not (0 <= top <= MAX_TOP and 0 <= skip <= MAX_SKIP):
            raise ValueError("$top or $skip out of range")
        matches = matcher(parameters.get("$filter", "Collection/Name eq 'SENTINEL-1'"))
        found = _ordered([item for item in entities if matches(item)], parameters.get("$orderby"), skip)
        end = skip + min(top, self.page_limit)
        expanded = parameters.get("$expand") == "Attributes"
        answer = {
            "@odata.context": "$metadata#Products" + "(Attributes())" * expanded,
            "value": [_shown(item, expanded) for item in found[skip:end]],
        }
        if len(answer["value"]) == end - skip:
            answer["@odata.nextLink"] = f"{url}?{urlencode({**parameters, '$skip': end})}"
        self.after_page()
        return answer


def _ordered(found, order, skip):
    if order is None:
        # Each page is cut from another order.
        return random.Random(skip).sample(found, len(found))
    field, _, direction = order.partition(" ")
    if field not in ORDERS or direction not in ("", "asc", "desc"):
        raise ValueError(f"cannot order by {order}")
    by_id = sorted(found, key=lambda item: item["Id"])
    return sorted(by_id, key=lambda item: date_of(item, field), reverse=direction == "desc")


def _shown(entity, expanded):
    return {key: value for key, value in entity.items() if expanded or key != "Attributes"}


def _json(status, content):
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})
