"""Pictures of the page, and the time it takes to open: python -m benchmarks.page RUN [--out docs].

Serves the run, opens its page in Chromium and prints the seconds until a finished night is shown. Writes page.png,
page.gif of “Replay live”, and for each theme a sheet of first screens, page_light.png and page_dark.png: at three
widths, at the start, in the middle and at the end of a night. With --screens FOLDER it writes the whole pages of these
sheets there, and nothing else; with --sample FILE the page's simulated sample night.
"""

import io
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
from PIL import Image

from pipeline.activity import ActivityCounter
from pipeline.errors import UserMistake
from pipeline.files import write_whole
from pipeline.recordings import read_recording
from pipeline.synthetic import FIRST_ID, synthesize

ROOT = Path(__file__).parents[1]
SIZE = {"width": 1280, "height": 900}
FRAMES, FRAME_MS, LAST_MS = 40, 120, 2500  # of the animation
COLOURS, SCALE = 224, 0.62
SCREENS = ((1280, 900), (768, 1024), (390, 844))  # px; a laptop, a tablet and a phone
THEMES = ("light", "dark")
MOMENTS = {"start": 0.0, "middle": 0.5, "end": 1.0}  # share of the night that is played
SLOWEST, USUAL = "60", "600"  # speeds; the middle stays the middle while its picture is taken
SHEET_SCALE, SHEET_GAP, SHEET_GROUND = 0.5, 12, "#8a919e"
MOVE = "(place, window) => { place.value = window; place.dispatchEvent(new Event('input')); }"
BEDTIME = datetime.fromisoformat("2026-01-31T23:05:00+01:00")
SEED, HOURS = 4, 7.4
OFF_WRIST = (4.9 * 3600, 5.7 * 3600)  # s, when the sample's watch lies on the table


@contextmanager
def served(run: Path) -> Iterator[str]:
    """The address of a service of a run, within the block."""
    command = [sys.executable, "-u", "-m", "watch_sim", "serve", run.resolve(), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            address = re.search(r"http://[\d.:]+/", server.stdout.readline() if server.stdout else "")
            if address is None:
                raise UserMistake(f"{run}: cannot be served")
            yield address.group()
        finally:
            server.terminate()


@contextmanager
def opened(run: Path) -> Iterator[tuple]:
    """(Chromium, the address of a run's page).

    Raises:
        UserMistake: There is no Chromium, or the run cannot be served.
    """
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        raise UserMistake("chromium: not installed")
    with served(run) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser, address
        browser.close()


def take_pictures(run: Path, out: Path) -> None:
    """Write page.png and page.gif of a run's page into a folder, and print the seconds until it shows a night.

    Raises:
        UserMistake: There is no Chromium, or the run cannot be served.
    """
    with opened(run) as (browser, address):
        page = browser.new_page(viewport=SIZE)
        for visit in ("first", "second"):
            start = time.monotonic()
            open_night(page, address)
            click.echo(f"{visit} visit: a finished night after {time.monotonic() - start:.1f} s")
        page.wait_for_timeout(1000)  # for the sleep statistics
        write_whole(out / "page.png", page.screenshot(full_page=True))
        windows = int(page.get_attribute("#place", "max") or 0)
        pictures = [screenshot(page, round(windows * (i + 1) / FRAMES)) for i in range(FRAMES)]
        sheets = {f"page_{theme}.png": sheet(screens(page, theme)) for theme in THEMES}
    palette = pictures[-1].quantize(COLOURS, Image.Quantize.MAXCOVERAGE)  # one for all frames, to avoid flicker
    pictures = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    durations = [FRAME_MS] * (FRAMES - 1) + [LAST_MS]
    content = io.BytesIO()
    pictures[0].save(
        content, "gif", save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=True
    )
    write_whole(out / "page.gif", content.getvalue())
    for name, content in sheets.items():
        write_whole(out / name, content)
    for name in ("page.png", "page.gif", *sheets):
        click.echo(f"{out / name}: {(out / name).stat().st_size / 1000:.0f} kB")


def open_night(page, address: str) -> None:
    """Open the page, and wait until it shows a finished night."""
    page.goto(address)
    page.locator("main[aria-busy=false]").wait_for(timeout=120_000)


def screenshot(page, window: int) -> Image.Image:
    """A reduced screenshot of the page with the replay at a window."""
    page.locator("#place").evaluate(MOVE, window)
    page.locator("main[aria-busy=false]").wait_for()
    page.wait_for_timeout(150)  # for the sleep statistics
    page.locator("#play").evaluate("(play) => { play.textContent = 'Pause'; }")  # as in a replay
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return picture.resize((round(picture.width * SCALE), round(picture.height * SCALE)), Image.Resampling.LANCZOS)


def screens(page, theme: str) -> Iterator[tuple[str, int, Image.Image]]:
    """(name, height of the first screen in px, picture of the whole page) in a theme, by moment and width."""
    page.emulate_media(color_scheme=theme)
    windows = int(page.get_attribute("#place", "max") or 0)
    for moment, share in MOMENTS.items():
        for width, height in SCREENS:
            page.set_viewport_size({"width": width, "height": height})
            page.locator("#place").evaluate(MOVE, round(windows * share))
            page.locator("main[aria-busy=false]").wait_for()
            if 0 < share < 1:
                page.select_option("#speed", SLOWEST)
                page.click("#play")
            page.mouse.move(0, 0)
            page.wait_for_timeout(1000)  # for the sleep statistics
            picture = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
            if 0 < share < 1:
                page.click("#play")
                page.select_option("#speed", USUAL)
            yield f"{theme}_{moment}_{width}.png", height, picture


def sheet(pictures: Iterator[tuple[str, int, Image.Image]]) -> bytes:
    """PNG of first screens: a row for each moment, a column for each width."""
    small = []
    for _, height, picture in pictures:
        first = picture.crop((0, 0, picture.width, height))
        size = (round(first.width * SHEET_SCALE), round(first.height * SHEET_SCALE))
        small.append(first.resize(size, Image.Resampling.LANCZOS))
    columns = len(SCREENS)
    lines = [small[i : i + columns] for i in range(0, len(small), columns)]
    row = max(picture.height for picture in small) + SHEET_GAP
    width = sum(picture.width + SHEET_GAP for picture in lines[0]) + SHEET_GAP
    whole = Image.new("RGB", (width, row * len(lines) + SHEET_GAP), SHEET_GROUND)
    for i, line in enumerate(lines):
        x = SHEET_GAP
        for picture in line:
            whole.paste(picture, (x, SHEET_GAP + i * row))
            x += picture.width + SHEET_GAP
    content = io.BytesIO()
    whole.quantize(256, dither=Image.Dither.NONE).save(content, "png", optimize=True)
    return content.getvalue()


def write_screens(run: Path, folder: Path) -> None:
    """Write the pictures of the whole page: each width, theme and moment.

    Raises:
        UserMistake: As `opened`.
    """
    with opened(run) as (browser, address):
        page = browser.new_page()
        open_night(page, address)
        for theme in THEMES:
            for name, _, picture in screens(page, theme):
                content = io.BytesIO()
                picture.save(content, "png")
                write_whole(folder / name, content.getvalue())
                click.echo(str(folder / name))


def sample_night() -> str:
    """CSV of a simulated night: time, heart_rate, activity, with the watch off the wrist for a while."""
    with TemporaryDirectory() as folder:
        synthesize(Path(folder, "night"), subjects=1, hours=HOURS, motion_hz=30, seed=SEED)
        samples = read_recording(Path(folder, "night"), str(FIRST_ID), want_labels=False).samples
    t, xyz = samples["motion"]
    times, counts = ActivityCounter().feed(t, xyz[:, 2])
    heart_t, bpm = samples["heart_rate"]
    rows = [(t, f"{round(x)},") for t, x in zip(heart_t[::2], bpm[::2], strict=True) if not worn_off(t)]
    rows += [
        (t, f",{0.0 if worn_off(t) else max(float(x), 0):.3g}")
        for t, x in zip(times.ravel(), counts.ravel(), strict=True)
    ]
    lines = [f"{(BEDTIME + timedelta(seconds=float(np.rint(t)))).isoformat()},{x}" for t, x in sorted(rows)]
    return "\n".join(["time,heart_rate,activity", *lines, ""])


def worn_off(t: float) -> bool:
    """Whether the watch lies on the table at t (s)."""
    return OFF_WRIST[0] <= t < OFF_WRIST[1]


@click.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("docs"), show_default=True, help="Folder to write to."
)
@click.option("--screens", type=click.Path(path_type=Path), help="Write only the sheets' whole pages, to this folder.")
@click.option("--sample", type=click.Path(path_type=Path), help="Write only the sample night, to this file.")
def main(run: Path | None, out: Path, screens: Path | None, sample: Path | None) -> None:
    """Take pictures of the page of a run, or write the sample night."""
    if sample is not None:
        write_whole(sample, sample_night())
    elif run is None:
        raise UserMistake("RUN: missing")
    elif screens is not None:
        write_screens(run, screens)
    else:
        take_pictures(run, out)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.page")
