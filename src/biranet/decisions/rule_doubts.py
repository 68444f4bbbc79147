"""What makes one doubt rules, wherever they are used."""

from biranet.decisions.rules import Rules

NOT_CALIBRATED = (
    "The model was not calibrated: its probabilities are as it gave them, and it refers by its grade alone."
)
"""The doubt of rules that nothing was fitted for."""

FIT_RULES = "Fit its rules with: biranet calibrate"
"""What to do about it."""


def find_doubts(rules: Rules) -> tuple[str, ...]:
    """What a user of rules must know of them, a sentence each: their doubts, or that nothing was fitted.

    Example:
        >>> find_doubts(Rules())[0][:28]
        'The model was not calibrated'
    """
    return (f"{NOT_CALIBRATED} {FIT_RULES}",) if rules == Rules() else rules.doubts
