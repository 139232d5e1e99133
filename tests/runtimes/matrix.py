"""What the tests find out about each file in each runtime, and the table that README.md shows."""

from export.runtimes import REFUSALS
from pipeline.constants import ARCHITECTURES, PRECISIONS

RUNTIMES = {  # title: name in contracts
    "ai-edge-litert": "ai-edge-litert",
    "tflite-runtime 2.14": "tflite-runtime-2.14",
    "LiteRT.js": "litert.js",
    "TFLite Micro": "tflite-micro",
}
REFUSED = "🔴 refused"
FOUND = {}  # (runtime, architecture, precision) -> (99th percentile of abs dp, whether within tolerance), or REFUSED


def table():
    """FOUND in Markdown; a dash where nothing was tried. Below it why what is refused is refused."""

    def entry(runtime, architecture, precision):
        found = FOUND.get((runtime, architecture, precision))
        if found is None or found == REFUSED:
            return found or "-"
        return f"{found[0]:.0e}" if found[1] else f"**{found[0]:.0e} FAIL**"

    def cell(precision, architecture):
        return " / ".join(entry(runtime, architecture, precision) for runtime in RUNTIMES)

    lines = [f"| p99 abs Δp in {' / '.join(RUNTIMES)} | {' | '.join(ARCHITECTURES)} |", "|---" * 5 + "|"]
    for precision in PRECISIONS:
        lines.append(f"| {precision} | {' | '.join(cell(precision, architecture) for architecture in ARCHITECTURES)} |")
    reasons = [
        f"{REFUSED}: {runtime}, {precision}: {reason}."
        for runtime, name in RUNTIMES.items()
        for precision, reason in REFUSALS[name].items()
    ]
    return "\n".join([*lines, "", *reasons]) + "\n"
