"""What people recorded: corridors, avalanche events, and the labels they give to acquisitions."""
