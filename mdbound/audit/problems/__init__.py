"""Small problems that wrong rules fail on: one position, one drafted path, trees."""
