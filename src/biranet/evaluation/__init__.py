"""From a predictions table to measures, intervals and a report: tables in, no torch."""
