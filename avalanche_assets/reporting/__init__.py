"""Pictures and pages: maps, bulletins, the season report and the thumbnails of the Dagster UI."""
