"""Photographs: read, cut to the lit field, prepared as squares, listed in a manifest."""

PREPARATION_NAME = "preparation.json"
"""Marks a prepared folder, which the scan for photos passes by."""
