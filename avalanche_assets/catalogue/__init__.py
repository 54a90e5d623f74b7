"""Where products come from, and which acquisitions exist."""
