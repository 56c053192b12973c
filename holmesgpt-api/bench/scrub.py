"""How long 1 MiB of log text takes to be scrubbed: prints each run in ms, and the rule that takes longest."""

from __future__ import annotations

import json
import sys
import time

from holmesgpt_api.scrub import MARK, RULES, text

RUNS = 5
SIZE = 1 << 20
LINES = (
    "{n:06} 2026-01-01T00:00:00Z INFO request method=GET path=/api/v1/carts/{n} status=200 duration_ms=12 span={n:x}",
    "{n:06} 2026-01-01T00:00:00Z WARN  retrying connection to postgres://shop@db.shop.svc:5432/carts, attempt {n}",
    "{n:06} 2026-01-01T00:00:00Z ERROR java.lang.OutOfMemoryError: heap at com.shop.cart.Basket.add(Basket.java:{n})",
    '{n:06} {{"level":"info","msg":"order accepted","order":"{n:08}","user":"u{n}","items":[1,2,3],"total":"12.50"}}',
    "{n:06} 2026-01-01T00:00:00Z DEBUG token bucket refilled, key=cart-{n} monkey=3 keys left={n}",
)
LOGIN = "{n:06} 2026-01-01T00:00:00Z DEBUG login DB_PASSWORD=planted-{n} Authorization: Bearer abcdefgh{n:08}"


def log() -> str:
    """Of a plain service, with a credential in every fiftieth line."""
    lines: list[str] = []
    size = 0
    while size < SIZE:
        n = len(lines)
        line = (LOGIN if n % 50 == 0 else LINES[n % len(LINES)]).format(n=n)
        lines.append(line)
        size += len(line) + 1
    return "\n".join(lines)[:SIZE]


def timed(value: str) -> float:
    began = time.perf_counter()
    scrubbed = text(value)
    took = (time.perf_counter() - began) * 1000
    if "planted-" in scrubbed or scrubbed == MARK:
        raise SystemExit("the scrubbed text is not what it should be: nothing was measured")
    return took


def of_rules(value: str) -> dict[str, float]:
    took = {}
    for kind, pattern, _ in RULES:
        began = time.perf_counter()
        pattern.sub(MARK, value)
        took[kind] = (time.perf_counter() - began) * 1000
    return took


def main() -> None:
    value = log()
    runs = [timed(value) for _ in range(RUNS)]
    rules = of_rules(value)
    slowest = max(rules, key=lambda kind: rules[kind])
    shown = f"the rule {slowest} alone takes {rules[slowest]:.0f} ms"
    sys.stdout.write(json.dumps({"runs": runs, "slowest": shown}) + "\n")


if __name__ == "__main__":
    main()
