"""Predictions tables, the rules that turn probabilities into grades and decisions, and how rules are fitted."""
