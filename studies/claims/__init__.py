"""The claims of the method put to a fair test: heads alone, on the features of a frozen backbone."""
