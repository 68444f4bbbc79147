"""The model, its data and its training: everything that needs torch."""
