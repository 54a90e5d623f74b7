"""Reloading our own code location, so that a date added to the catalogue becomes a partition."""

import dagster as dg

LOCATION_NAME = "avalanche_assets"


class CodeLocation(dg.ConfigurableResource["CodeLocation"]):
    """Asks the web server to reload this code location.

    Attributes:
        webserver: ``host:port`` of the Dagster web server; empty where none runs (command line, tests).
    """

    webserver: str = ""

    def reload(self) -> bool:
        """Reloads the code location; False where no web server is configured or it cannot be reached."""
        if not self.webserver:
            return False
        from dagster_graphql import DagsterGraphQLClient, ReloadRepositoryLocationStatus
        from requests.exceptions import RequestException

        host, _, port = self.webserver.partition(":")
        try:
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
