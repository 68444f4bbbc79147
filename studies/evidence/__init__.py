"""How far maps of what a model looked at can be believed: run.py computes and measures, page.py writes."""
