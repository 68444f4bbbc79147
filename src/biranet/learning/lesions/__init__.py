"""The lesion branch: maps of microaneurysms, haemorrhages, exudates and the disc from the stages of a backbone."""
