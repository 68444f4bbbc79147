"""What the pages of a report are made of: charts, lists, layouts, templates."""
