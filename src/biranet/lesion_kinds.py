"""The kinds of lesions that are drawn in masks and found in photos, and the optic disc, in the field's terms."""

from collections.abc import Mapping
from types import MappingProxyType

LESIONS: Mapping[str, str] = MappingProxyType(
    {"MA": "microaneurysms", "HE": "haemorrhages", "EX": "hard exudates", "SE": "soft exudates"}
)
"""What they are called, by the codes of IDRiD and DDR."""

DISC = "OD"
"""The optic disc, which is no lesion: areas are told in disc areas."""

KINDS = (*LESIONS, DISC)
"""All kinds in the order of the maps."""

CONNECTIVITY = 8
"""Pixels and cells that touch at a side or a corner are of one lesion."""
