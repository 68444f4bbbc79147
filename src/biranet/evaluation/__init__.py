"""From a predictions table to measures and their intervals: tables in, numbers out, no torch."""
