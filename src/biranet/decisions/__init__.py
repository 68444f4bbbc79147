"""What is said of a photo, and how that is fitted: predictions table, rules, calibration."""
