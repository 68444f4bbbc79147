"""The lesion branch as a part of a network: its head, what its maps are summed up to, and how that corrects a grade."""
