"""Pages that people read: reports, comparisons, and where their tables come from."""
