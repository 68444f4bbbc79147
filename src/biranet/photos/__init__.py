"""Photographs: read, cut to the lit field, prepared as squares, listed in a manifest."""
