"""A synthetic season written as a real service would deliver it, with the truth kept apart."""
