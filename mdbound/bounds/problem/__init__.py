"""What is asked and answered: checks of arrays, array types, results, the ratio order."""
