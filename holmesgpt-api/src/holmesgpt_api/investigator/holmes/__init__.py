"""The HolmesGPT SDK behind our protocol. Only `gate`, `bridge` and `endpoint` import it, and only `sdk` imports them."""
