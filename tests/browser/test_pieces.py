"""The pieces for an author's own page: in a React app of hers, on a server, in a frame, in a chart library."""

from __future__ import annotations

import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import ARTIFACTS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.browser]

APP = Path(__file__).parent / "pieces_app"
CURVES = "lr-ablation-constant-rates"
QUANTITY = "train_loss_smoothed"
SERVER = """import { renderToString } from "react-dom/server";
import { App } from "./App";
console.log(renderToString(<App />));
"""
CLIENT = """import { hydrateRoot } from "react-dom/client";
import { App } from "./App";
hydrateRoot(document.getElementById("root")!, <App />);
"""
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Pieces</title><style>
:root { color-scheme: light dark } :root[data-theme="dark"] { color-scheme: dark }
:root[data-theme="light"] { color-scheme: light }
body { background: Canvas; color: CanvasText; font-family: system-ui }
</style>
<div id="root"></div><script type="module" src="/src/main.tsx"></script></html>
"""
FIND_SVGS = """(all) => Object.fromEntries(all
 .map((one) => [one.id, one.querySelector(':is(.wide, .gx-wide) svg')?.outerHTML])
  .filter(([, svg]) => svg))"""
CELLS = """(table) => [...table.rows].map((row) => [...row.cells]
 .map((cell) => cell.textContent.replace(/\\s+/g, ' ').trim()))"""


@dataclass(frozen=True)
class Built:
    """An app with every piece of a bundle in it."""

    address: str
    bundle: Path
    slugs: list[str]
    served: str
    """What a server renders of it."""


def call(folder: Path, *words: str) -> str:
    """What a command prints; its own words where it fails."""
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


def install(folder: Path) -> None:
    """React, TypeScript, Vite and Recharts at the versions of the lock file."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm: install Node 20 or newer to try the pieces in a React app")
    words = [npm, "ci", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        lost = re.search(r"E(?:NOTFOUND|AI_AGAIN|CONNREFUSED|CONNRESET|TIMEDOUT)|network", done.stderr)
        assert lost, done.stderr
        pytest.skip("the npm registry is out of reach, so there is no React to try the pieces with")


def write_app(folder: Path, bundle: Path) -> list[str]:
    """Every piece in one app, and the example for Recharts as PASTING.md has it."""
    source = folder / "src"
    shutil.copytree(bundle / "pieces", source / "pieces")
    slugs = sorted(path.stem for path in (bundle / "pieces").glob("*.tsx") if not path.stem.startswith("gptexp-"))
    (example,) = re.findall(r"```tsx\n(import [^`]* from \"recharts\";\n[^`]*)```", (bundle / "PASTING.md").read_text())
    assert len(example.splitlines()) == 6
    (source / "Chart.tsx").write_text(example.replace("NAME", CURVES).replace("QUANTITY", QUANTITY))
    imports = [f'import Piece{n} from "./pieces/{slug}";' for n, slug in enumerate(slugs)]
    shown = "".join(f'<section id="{slug}"><Piece{n} /></section>' for n, slug in enumerate(slugs))
    app = f'export const App = () => (<main>{shown}<section id="chart"><Chart /></section></main>);\n'
    (source / "App.tsx").write_text("\n".join([*imports, 'import { Chart } from "./Chart";', app]))
    (source / "server.tsx").write_text(SERVER)
    (source / "main.tsx").write_text(CLIENT)
    return slugs


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, lesson_page: str) -> Iterator[Built]:
    folder = tmp_path_factory.mktemp("pieces") / "app"
    shutil.copytree(APP, folder, ignore=shutil.ignore_patterns("node_modules"))
    install(folder)
    bundle = Path(lesson_page.removeprefix("file://")).parent
    slugs = write_app(folder, bundle)
    bin_folder = folder / "node_modules" / ".bin"
    call(folder, str(bin_folder / "tsc"))
    call(folder, str(bin_folder / "vite"), "build", "--ssr", "src/server.tsx", "--outDir", "server")
    served = call(folder, "node", "server/server.js").rstrip("\n")
    (folder / "index.html").write_text(PAGE)
    call(folder, str(bin_folder / "vite"), "build")
    # What the server renders stands there before the scripts come, as it left the server.
    index = folder / "dist" / "index.html"
    index.write_text(index.read_text().replace('<div id="root"></div>', f'<div id="root">{served}</div>'))
    shutil.copytree(bundle / "pieces", folder / "dist" / "pieces")
    frame = f'<!doctype html><title>Frame</title><iframe title="loss" width="640" src="pieces/{CURVES}.html"></iframe>'
    listener = re.search(r"```js\n(addEventListener\(\"message\"[^`]*)```", (bundle / "PASTING.md").read_text())
    assert listener
    (folder / "dist" / "frame.html").write_text(f"{frame}<script>{listener[1]}</script>")
    with Served(folder / "dist") as address:
        yield Built(address, bundle, slugs, served)


class Served:
    """The files of a folder over HTTP, on this machine alone."""

    def __init__(self, folder: Path) -> None:
        class Quiet(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that must say nothing on its console and load nothing from elsewhere."""
    context = browser.new_context(viewport={"width": 1000, "height": 800})
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if "127.0.0.1" not in request.url else None)
    yield page
    context.close()
    assert [text for text in said if "favicon" not in text and "404" not in text] == []


def test_a_server_renders_them(built: Built) -> None:
    """Without a window, every figure and table is whole: strict types, one build, one string."""
    assert len(built.slugs) > 15
    figures = [slug for slug in built.slugs if (built.bundle / "figures" / f"{slug}.svg").exists()]
    assert built.served.count('class="gx-layout gx-wide"') == len(figures) > 8
    assert built.served.count("<table") == len(built.slugs) - len(figures)


def test_they_show_what_the_page_shows(built: Built, page: Page, lesson_page: str, browser: Browser) -> None:
    """In a Vite build of React: the page's own SVG, the cells of its tables, and no complaint of React's."""
    page.goto(built.address)
    shown = page.locator("section").evaluate_all(FIND_SVGS)
    own = browser.new_page()
    sheets = sorted(built.bundle.glob("*.html"))
    drawn: dict[str, str] = {}
    for sheet in sheets:
        own.goto(sheet.as_uri())
        # A page whose scripts draw on its figures comes after the one that leaves them alone.
        drawn = own.locator("figure.block").evaluate_all(FIND_SVGS) | drawn
    own.goto((built.bundle / "tables" / "lr-ablation-results.html").as_uri())
    expected = own.locator("table").evaluate(CELLS)
    own.close()
    assert len(shown) > 8
    assert shown == {slug: drawn[slug] for slug in shown}
    assert page.locator("#lr-ablation-results table").evaluate(CELLS) == expected


def test_their_points_are_read_by_mouse_and_keys(built: Built, page: Page) -> None:
    """Readout of the nearest point: name, step, loss, perplexity and run, as the CSV has them."""
    page.goto(built.address)
    figure = page.locator(f"#{CURVES}")
    plot, said = figure.locator(".gx-plot"), figure.locator(".gx-read")
    assert said.inner_text() == "Point at a curve, or use the arrow keys."
    plot.scroll_into_view_if_needed()
    box = plot.locator(".gx-wide svg").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.5)
    for place in range(30):
        page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * (0.1 + 0.025 * place))
        if "step" in said.inner_text():
            break
    pattern = r"constant \S+: step [\d,]+, (?:train loss smoothed|val loss) [\d.]+, perplexity [\d.,]+, run [0-9a-f]+"
    assert re.fullmatch(pattern, said.inner_text())
    assert plot.locator(".gx-ring").count() == 1
    page.mouse.move(1, 1)
    assert plot.locator(".gx-ring").count() == 0
    plot.focus()
    page.keyboard.press("End")
    last = said.inner_text()
    page.keyboard.press("ArrowDown")
    assert said.inner_text() != last
    (step, loss) = re.findall(r"step ([\d,]+), train loss smoothed ([\d.]+)", last)[0]
    rows = (built.bundle / "figures" / f"{CURVES}.csv").read_text().splitlines()
    place = rows[0].split(",").index(QUANTITY)
    run = last.rpartition(" ")[2]
    own = [row.split(",") for row in rows if f",{run},{step.replace(',', '')}," in row]
    assert [f"{float(row[place]):.4g}" for row in own] == [f"{float(loss):.4g}"]
    page.keyboard.press("Escape")
    assert said.inner_text() == "Point at a curve, or use the arrow keys."


def test_a_finger_reads_the_narrow_drawing(built: Built, browser: Browser) -> None:
    """A tap is read, and stays when the finger is lifted; up and down still scroll the page."""
    context = browser.new_context(viewport={"width": 360, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto(built.address)
    figure = page.locator(f"#{CURVES}")
    plot, said = figure.locator(".gx-plot"), figure.locator(".gx-read")
    plot.scroll_into_view_if_needed()
    box = plot.locator(".gx-narrow svg").bounding_box()
    assert box
    page.touchscreen.tap(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.6)
    assert re.search(r"step \d+, .* [\d.]+, perplexity", said.inner_text())
    ring = plot.locator(".gx-narrow .gx-ring").bounding_box()
    assert ring
    assert abs(ring["x"] - box["x"] - box["width"] * 0.5) < 70
    assert plot.evaluate("(one) => getComputedStyle(one).touchAction") == "pan-y"
    context.close()


@pytest.mark.parametrize("system", ["light", "dark"])
def test_both_themes_and_widths(built: Built, page: Page, system: str) -> None:
    """Dark where the system is, unless data-theme says otherwise; a narrow place gets the narrow drawing."""
    page.emulate_media(color_scheme=system)  # type: ignore[arg-type]
    page.goto(built.address)
    ink = f"() => getComputedStyle(document.querySelector('#{CURVES} .gx-piece')).getPropertyValue('--gx-ink').trim()"
    colours = {"light": "#1d2329", "dark": "#e8ebee"}
    assert page.evaluate(ink) == colours[system]
    page.screenshot(path=ARTIFACTS / f"pieces-{system}.png", full_page=True)
    for theme in colours:
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        assert page.evaluate(ink) == colours[theme]
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.locator(f"#{CURVES} .gx-narrow").is_visible()
    assert not page.locator(f"#{CURVES} .gx-wide").is_visible()
    page.screenshot(path=ARTIFACTS / f"pieces-{system}-narrow.png", full_page=True)


@pytest.mark.parametrize("system", ["light", "dark"])
def test_axe_finds_nothing_serious(built: Built, page: Page, system: str) -> None:
    """Every piece but the chart library's own: no serious or critical violation."""
    api = pytest.importorskip("axe_playwright_python.sync_playwright")
    page.emulate_media(color_scheme=system)  # type: ignore[arg-type]
    page.goto(built.address)
    page.evaluate("document.querySelector('#chart').remove()")
    found = api.Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []


def test_the_example_for_recharts(built: Built, page: Page) -> None:
    """As PASTING.md has it: one line per arm, in the arm's colour."""
    page.goto(built.address)
    lines = page.locator("#chart path.recharts-curve")
    wide = json.loads((built.bundle / "pieces" / f"{CURVES}-wide.json").read_text())
    page.wait_for_function(f"document.querySelectorAll('#chart path.recharts-curve').length === {len(wide['columns'])}")
    strokes = lines.evaluate_all("(all) => all.map((one) => getComputedStyle(one).stroke)")
    assert len(strokes) == len(set(strokes)) == 3
    assert wide["x"] == "step"
    assert {*wide["rows"]} == {"train_loss", QUANTITY, "val_loss"}
    page.wait_for_timeout(1800)
    page.screenshot(path=ARTIFACTS / "pieces-recharts.png", full_page=True, clip=page.locator("#chart").bounding_box())


def test_an_embed_in_a_frame(built: Built, page: Page) -> None:
    """It tells its height, follows the theme of the page around it, and answers there too."""
    page.goto(f"{built.address}/frame.html")
    page.wait_for_function("Number(document.querySelector('iframe').height) > 200")
    frame = page.frame_locator("iframe")
    height = int(page.locator("iframe").get_attribute("height") or 0)
    assert abs(height - frame.locator("html").evaluate("(root) => root.scrollHeight")) <= 2
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function("frames[0].document.documentElement.dataset.theme === 'dark'")
    frame.locator(".gx-plot").focus()
    page.keyboard.press("ArrowRight")
    assert "step" in frame.locator(".gx-read").inner_text()
    page.screenshot(path=ARTIFACTS / "pieces-embed.png")
