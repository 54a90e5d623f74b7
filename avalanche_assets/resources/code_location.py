"""Reloading our own code location, so that a date added to the catalogue becomes a partition."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

LOCATION_NAME = "avalanche_assets"
PARTITIONS = """query($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode { partitionKeys } } }"""

BACKFILL = """mutation($parameters: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $parameters) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""


class CodeLocation(dg.ConfigurableResource["CodeLocation"]):
    """Asks the web server what it has loaded, and to load this code location again.

    Attributes:
        webserver: ``host:port`` of the Dagster web server; empty where none runs (command line, tests).
    """

    webserver: str = ""

    def reload_unless_loaded(self, asset: str, partitions: Sequence[str]) -> bool:
        """Reloads the code location unless the web server knows these partitions of an asset.

        What it knows is asked, not remembered: a reload may have been missed while it was away.

        Returns:
            Whether it was reloaded; False where no web server is configured or it cannot be reached.
        """
        if not self.webserver:
            return False
        from dagster_graphql import DagsterGraphQLClient, ReloadRepositoryLocationStatus
        from requests.exceptions import RequestException

        host, _, port = self.webserver.partition(":")
        try:
            if self._loaded(asset) == list(partitions):
                return False
            client = DagsterGraphQLClient(host, port_number=int(port or 80))
            status = client.reload_repository_location(LOCATION_NAME).status
        except RequestException as error:
            dg.get_dagster_logger().warning(
                "web server %s not reached (%s): press Reload in the UI to see new dates",
                self.webserver,
                type(error).__name__,
            )
            return False
        return bool(status == ReloadRepositoryLocationStatus.SUCCESS)

    def _loaded(self, asset: str) -> list[str]:
        """Partitions that the web server shows."""
        answer = self._ask(PARTITIONS, key={"path": [asset]})
        keys: list[str] = answer["assetNodeOrError"].get("partitionKeys", [])
        return keys

    def backfill(
        self, partitions: Mapping[str, Sequence[str | None]], title: str, tags: Mapping[str, str]
    ) -> str:
        """Launches a backfill; returns its id.

        Args:
            partitions: By asset; ``[None]`` for an asset without partitions.
            title: What the UI calls it.
            tags: Of it and of its runs.

        Raises:
            dg.Failure: The web server cannot be reached or refuses.
        """
        from requests.exceptions import RequestException

        chosen = [
            {"assetKey": {"path": [asset]}, "partitions": _ranges(keys)} for asset, keys in partitions.items()
        ]
        named = [{"key": key, "value": value} for key, value in tags.items()]
        parameters = {"partitionsByAssets": chosen, "title": title, "tags": named}
        try:
            answer = self._ask(BACKFILL, parameters=parameters)["launchPartitionBackfill"]
        except RequestException as error:
            answer = {"message": type(error).__name__}
        if "backfillId" not in answer:
            told = answer.get("message") or answer["__typename"]
            raise dg.Failure(
                f"web server {self.webserver}: no backfill was started ({told}); launch the job again, or "
                "materialise the missing partitions by hand"
            )
        return str(answer["backfillId"])

    def _ask(self, question: str, **variables: Any) -> Any:
        """What the web server answers to a GraphQL question."""
        import requests

        asked = {"query": question, "variables": variables}
        return requests.post(f"http://{self.webserver}/graphql", json=asked, timeout=30).json()["data"]


def _ranges(keys: Sequence[str | None]) -> dict[str, Any] | None:
    return None if None in keys else {"ranges": [{"start": key, "end": key} for key in keys]}
