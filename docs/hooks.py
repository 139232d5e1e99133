"""Shows the tour as a page: its cells, with their output from the last execution."""

from pathlib import Path

import nbformat

TOUR = "tour.md"


def on_page_markdown(markdown: str, page, config, files) -> str:
    """The text of tour.md, followed by the cells of tour.ipynb with their output."""
    if page.file.src_path != TOUR:
        return markdown
    notebook = nbformat.read(Path(config["docs_dir"]) / "tour.ipynb", as_version=4)
    parts = [markdown]
    for cell in notebook.cells:
        parts.append(cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```")
        for output in cell.get("outputs", []):
            data = output.get("data", {"text/plain": output.get("text", "")})
            if "image/png" in data:
                parts.append(f"![What the cell draws](data:image/png;base64,{data['image/png'].strip()})")
            elif "text/html" in data:
                parts.append(data["text/html"])
            elif data.get("text/plain", "").strip():
                parts.append(f"```\n{data['text/plain'].rstrip()}\n```")
    return "\n\n".join(parts)
