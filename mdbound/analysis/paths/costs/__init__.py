"""What calls and drafts cost, and the speed-up that is left of tokens per call."""
