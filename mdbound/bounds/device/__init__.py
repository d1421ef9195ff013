"""All of torch: the laws as operations on the device of the tensors. Only the doors import it."""
