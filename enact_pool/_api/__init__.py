"""What users call. It puts the engine and its observers together."""
