"""What every scheme has to offer, what it may be asked for, and the list of all schemes."""
