"""How well the lesion branch finds lesions: run.py trains and measures, page.py writes."""
