"""The investigation: prompt, parsing, validation, self-correction, outcome."""
