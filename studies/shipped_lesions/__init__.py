"""How the model that ships with a lesion branch is made and measured."""
