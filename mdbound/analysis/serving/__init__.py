"""What serving engines and simulators take, from results of `paths` and captures."""
