"""What the tests find out about each file in each runtime, and the table that README.md shows."""

from pipeline.constants import ARCHITECTURES, PRECISIONS

RUNTIMES = ("ai-edge-litert", "tflite-runtime 2.14", "LiteRT.js")
FOUND = {}  # (runtime, architecture, precision) -> (99th percentile of abs dp, is the golden night within tolerance)


def table():
    """FOUND in Markdown; a dash where nothing was tried."""

    def cell(precision, architecture):
        found = [FOUND.get((runtime, architecture, precision)) for runtime in RUNTIMES]
        return " / ".join("-" if x is None else f"{x[0]:.0e}" if x[1] else f"**{x[0]:.0e} FAIL**" for x in found)

    lines = [f"| p99 abs Δp in {' / '.join(RUNTIMES)} | {' | '.join(ARCHITECTURES)} |", "|---" * 5 + "|"]
    for precision in PRECISIONS:
        lines.append(f"| {precision} | {' | '.join(cell(precision, architecture) for architecture in ARCHITECTURES)} |")
    return "\n".join(lines) + "\n"
