"""The same scenarios to the reference server and to ours, answers compared."""
