"""The page for everyone: by keyboard, by words, light and dark, on a phone, and as axe judges it."""

import subprocess

import pytest
from on_page import choose, play, ready

pytestmark = pytest.mark.runtimes

DARK, PHONE = {"color_scheme": "dark"}, {"viewport": {"width": 360, "height": 740}}


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """axe-core, as text; skips the tests where npm cannot get it."""
    folder = tmp_path_factory.mktemp("axe")
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0"]
    command = ["npm", "install", "--prefix", folder, *options, "axe-core@4.14.1"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm cannot install: {done.stderr.strip().splitlines()[-1:]}")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


class TestForEveryone:
    def test_by_keyboard_alone(self, page, held_out):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the player"
        page.keyboard.press("Enter")
        walked = [page.evaluate(FOCUSED)]
        page.keyboard.press("Space")
        page.wait_for_timeout(300)
        assert page.inner_text("#play") == "Pause"
        page.keyboard.press("Space")
        assert page.inner_text("#play") == "Play"
        for _ in range(4):
            page.keyboard.press("Tab")
            walked.append(page.evaluate(FOCUSED))
        assert walked[1:] == ["whole", "speed", "overlay", "place"]
        before = int(page.input_value("#place"))
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        ready(page)
        assert int(page.input_value("#place")) == before + 3
        assert page.get_attribute("#place", "aria-valuetext").endswith(page.inner_text("#stage"))
        for _ in range(60):
            page.keyboard.press("Tab")
            walked.append(page.evaluate(FOCUSED))
            assert walked[-1] in ("", "BODY") or page.evaluate(OUTLINED), walked[-1]
            if walked[-1] == "theme":
                break
        assert {"play", "speed", "overlay", "start", "zone", "healthkit", "edf", "csv", "theme"} <= {*walked}
        for _ in range(3):
            page.keyboard.press("Tab")
            walked.append(page.evaluate(FOCUSED))
        assert walked[-3:-1] == [page.input_value("#night"), "open"] or walked[-3:] == ["night", "open", "sample"]

    def test_everything_has_a_name_and_the_drawings_have_words(self, page):
        play(page)
        snapshot = page.locator("body").aria_snapshot()
        for wanted in (
            'combobox "Recording"', 'group "Model"', 'group "Compare with"', 'combobox "Architecture"',
            'button "Choose files …"', 'button "Try a sample"', 'button "Replay live"',
            'slider "Position in the night"', 'combobox "Speed"', 'checkbox "Scored stages"',
            'img "Heart rate"', 'img /Hypnogram of GRU, 8-bit/', 'combobox "Time zone"', "status:",
            'button "EDF+"', 'heading "Stage', 'table',
        ):  # fmt: skip
            name = wanted.replace("/", '"', 1).rstrip("/")
            assert name in snapshot, f"{wanted} is not in\n{snapshot}"
        assert page.evaluate(NAMELESS) == []

    def test_light_and_dark(self, open_call):
        page = open_call(**DARK)
        assert page.inner_text("#theme") == "Switch to light"
        dark = page.evaluate(COLOURS)
        page.click("#theme")
        light = page.evaluate(COLOURS)
        for colours in (light, dark):
            for ink in ("ink", "muted", "accent", "wrong"):
                for ground in ("ground", "card"):
                    assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground, colours)
            assert contrast(colours["ink"], colours["unknown"]) >= 4.5  # its name stands on it
            for stage in ("wake", "n1", "n2", "n3", "rem", "heart", "move", "edge"):
                assert contrast(colours[stage], colours["card"]) >= 2.4, (stage, colours)
            assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
        assert luminance(dark["ground"]) < 0.05 < 0.8 < luminance(light["ground"])
        page.reload()
        ready(page)
        assert page.inner_text("#theme") == "Switch to dark"  # it is remembered
        assert page.evaluate(COLOURS) == light

    def test_on_a_phone_the_player_comes_first_and_nothing_lies_aside(self, open_call):
        page = open_call(**PHONE)
        for seen in ("#play", "#drop", "#key", "#sample"):
            box = page.locator(seen).bounding_box()
            assert box["y"] + box["height"] < PHONE["viewport"]["height"], seen
        order = [page.locator(f"#{name}").bounding_box()["y"] for name in ("play", "hypnogram", "drop", "model-fold")]
        assert order == sorted(order)
        for folded in ("#model", "#other"):
            assert page.locator(folded).is_hidden()
        for summary in page.locator("summary").all():
            summary.click()
        choose(page, which="other", architecture="transformer")
        page.locator("#statistics th", has_text="Transformer").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.evaluate(ASIDE) == []

    @pytest.mark.parametrize("width", [1280, 768, 390])
    def test_axe_finds_no_violation(self, open_call, axe, width):
        page = open_call(viewport={"width": width, "height": 900}, bypass_csp=True)
        for summary in page.locator("summary").all():
            if summary.is_visible():
                summary.click()
        page.locator("#statistics th").first.wait_for()
        page.evaluate(axe)
        for _ in ("light", "dark"):
            found = page.evaluate("axe.run(document)")
            assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []
            assert len(found["passes"]) > 20
            page.click("#theme")
            ready(page)


class TestFirstScreen:
    def test_it_explains_itself(self, page):
        line = "Sleep stages from a wrist recording, every 30 seconds. Grey: scored in the laboratory"
        assert page.inner_text("#tagline") == line
        groups = page.locator("#night optgroup").evaluate_all("(groups) => groups.map((group) => group.label)")
        assert groups == ["Held out", "Used for model selection", "Trained on"]
        tip = page.locator("#kappa-tip")
        assert tip.is_hidden()
        page.focus(".term")
        assert tip.is_visible()
        assert "beyond chance" in tip.inner_text()
        page.click("#sample")
        page.locator("#night option:checked", has_text="Sample").wait_for(state="attached")
        assert page.locator("#scored-is").is_hidden()  # nothing is scored

    @pytest.mark.parametrize("width", [1280, 768, 390])
    def test_the_slider_is_as_wide_as_its_chart(self, open_call, width):
        page = open_call(viewport={"width": width, "height": 900})
        slider, chart = (page.locator(name).bounding_box() for name in ("#place", "#hypnogram"))
        assert slider["x"] == pytest.approx(chart["x"] + LEFT_AXIS, abs=THUMB)
        assert slider["x"] + slider["width"] == pytest.approx(chart["x"] + chart["width"], abs=THUMB)


LEFT_AXIS, THUMB = 44, 9  # px
FOCUSED = "() => document.activeElement.id || document.activeElement.value || document.activeElement.tagName"
OUTLINED = "() => getComputedStyle(document.activeElement).outlineStyle !== 'none'"
NAMELESS = """() => [...document.querySelectorAll("button, select, input, canvas, summary")]
  .filter((e) => !(e.labels?.length || e.ariaLabel || e.textContent.trim())).map((e) => e.outerHTML)"""
COLOURS = """() => {
  const names = ["ground", "card", "ink", "muted", "accent", "on-accent", "wrong", "edge", "heart", "move",
                 "wake", "n1", "n2", "n3", "rem", "unknown"];
  const probe = document.body.appendChild(document.createElement("span"));
  const found = names.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map(Number)];
  });
  probe.remove();
  return Object.fromEntries(found);
}"""
ASIDE = """() => [...document.querySelectorAll("main *, form *, header *")]
  .filter((e) => !e.closest(".unseen, pre, .scrolling, canvas, datalist") && e.getBoundingClientRect().right > 360.5)
  .map((e) => e.outerHTML.slice(0, 90))"""


def luminance(rgb):
    """Relative luminance, as WCAG 2 has it."""
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in (c / 255 for c in rgb)]
    return sum(weight * x for weight, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
