"""Tables of means: their values, notes, file formats, and the reports made of them."""
