"""Whether what the lesion branch finds helps to grade: run.py asks, page.py tells."""
