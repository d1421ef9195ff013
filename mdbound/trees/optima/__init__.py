"""What no verifier of a draft tree can beat: linear programs, their prices, and bounds by depth."""
