"""What asks the model: one protocol, one package or module for each implementation."""
