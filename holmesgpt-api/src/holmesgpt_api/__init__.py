"""HolmesGPT-API: one incident in, a root cause and a reviewed remediation workflow out."""

VERSION = "0.1.0"
