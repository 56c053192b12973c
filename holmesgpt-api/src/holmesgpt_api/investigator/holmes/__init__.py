"""The HolmesGPT SDK behind our protocol: `gate`, `bridge` and `endpoint` import it, `sdk` imports them, late."""
