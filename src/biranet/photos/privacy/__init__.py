"""What the header of a photo file tells of people: kinds of identifiers and keyed hashes, never the words."""
