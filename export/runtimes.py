"""Which runtime can run which file: the findings of `make test-runtimes` in one table."""

from collections.abc import Mapping

OURS = "ai-edge-litert"
MICRO = "tflite-micro"
TESTED = "tested"
REFUSED = "refused"  # followed by the reason
REFUSALS: dict[str, dict[str, str]] = {  # runtime -> {precision: why its network is refused}; all others are tested
    OURS: {},
    "tflite-runtime-2.14": {},
    "litert.js": {},
    MICRO: {
        "float16": "its DEQUANTIZE takes no 16-bit floats, so the file does not load",
        "dynamic": "it loads, but its stages are wrong: its DEQUANTIZE takes one scale where weights have one per row",
    },
}
RUNTIMES = (*REFUSALS,)
STATUS = rf"^({TESTED}|{REFUSED}: .+)$"


def statuses(precision: str | None) -> dict[str, str]:
    """{runtime: "tested" or "refused: why"} for a network in a precision, or with None for sensing and activity."""
    reasons = {runtime: refusals.get(precision or "") for runtime, refusals in REFUSALS.items()}
    return {runtime: f"{REFUSED}: {reason}" if reason else TESTED for runtime, reason in reasons.items()}


def refusal(runtimes: Mapping[str, str] | None, runtime: str) -> str | None:
    """The status with which a call's `runtimes` refuse a runtime, or None. A runtime not listed is untested."""
    status = (runtimes or {}).get(runtime, "")
    return status if status.startswith(REFUSED) else None
