"""One module per kind of figure. A figure is made from an instance of a study and reads no file."""
