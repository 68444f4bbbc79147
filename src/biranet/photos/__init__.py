"""Photographs: read, cut to the lit field, prepared as squares, listed in a manifest."""

PREPARATION_NAME = "preparation.json"
"""Marks a prepared folder, which the scan for photos passes by."""

CONTACT_SHEET_NAME = "contact_sheet.jpg"
"""Picture of the least gradable photos, in the prepared folder."""

PICTURE_MARK = b"attention, drawn by biranet"
"""Comment in the pictures of graded photos: by it they are known, and may be replaced."""

HEADER_GROUP = "header_group"
"""Column of the manifest with the patient whom the header of the photo's file names, as keyed hash, or nothing."""

CONTRADICTORY = "contradictory"
"""Stands in the manifest's `header_eye` in place of an eye where the header of a DICOM file names both."""
