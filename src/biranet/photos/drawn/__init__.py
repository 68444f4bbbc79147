"""Drawn photographs: whole data sets that need no patient, for the demo, the tests and whoever tries the program."""
