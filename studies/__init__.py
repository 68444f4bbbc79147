"""What is measured beside the package: the method on IDRiD, and the model that ships."""
