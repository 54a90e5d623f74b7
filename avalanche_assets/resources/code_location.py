"""Reloading our own code location, so that a date added to the catalogue becomes a partition."""

from collections.abc import Sequence

import dagster as dg

LOCATION_NAME = "avalanche_assets"
PARTITIONS = """query($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode { partitionKeys } } }"""


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
        import requests

        question = {"query": PARTITIONS, "variables": {"key": {"path": [asset]}}}
        answer = requests.post(f"http://{self.webserver}/graphql", json=question, timeout=30).json()
        keys: list[str] = answer["data"]["assetNodeOrError"].get("partitionKeys", [])
        return keys
