"""How the model that ships is made and measured: make.py, nested.py, card.py."""
