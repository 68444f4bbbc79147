"""The claims of the method put to the test on IDRiD; run.py trains and measures, page.py writes."""
