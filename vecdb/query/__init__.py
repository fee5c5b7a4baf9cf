"""What is asked, as values: nothing here reads a row."""
