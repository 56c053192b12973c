"""`python3 -m holmesgpt_api`."""

from holmesgpt_api.main import console

console()
