"""What a paper takes from a report: tables, a paragraph on methods, references."""
